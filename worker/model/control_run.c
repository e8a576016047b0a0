/* control_run.c - what a net makes of a picture, once, and of a batch of latents, every step. */
#include <assert.h>
#include <string.h>

#include "worker/model/control_inside.h"
#include "worker/model/picture_input.h"

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};
static const struct conv_options half_size = {.stride = 2, .pad_before = 1, .pad_after = 1};

/* ---- the picture ---- */

/* What a layer gives of x: lies at the beginning of `room`, one of two that are used by turns. */
static struct tensor output_of(const struct control_hint_layer *layer, const struct tensor *x,
                               const struct tensor *room) {
  int64_t factor = layer->halves ? 2 : 1;
  return (struct tensor){
      .data = room->data,
      .element = room->element,
      .rank = 4,
      .shape = {1, (x->shape[1] + factor - 1) / factor, (x->shape[2] + factor - 1) / factor,
                weight_outputs(layer->conv)}};
}

/* The most values that a layer gives for a picture of this size. */
static int64_t widest(const struct control *control, const struct tensor *picture) {
  struct tensor x = *picture, nowhere = {0};
  int64_t most = 0;
  for (int i = 0; i < control->hint_layers; i++) {
    x = output_of(&control->hint[i], &x, &nowhere);
    most = tensor_count(&x) > most ? tensor_count(&x) : most;
  }
  return most;
}

/* hint = the layers, one after another, of a picture [1, H * f, W * f, 3] activations. */
static enum status layers_run(const struct pass *pass, const struct control *control,
                              const struct tensor *picture, const struct tensor *hint) {
  int64_t most = widest(control, picture);
  struct tensor room[2], x = *picture;
  TRY(pass_take(pass, TENSOR_SHAPE(most), &room[0]));
  TRY(pass_take(pass, TENSOR_SHAPE(most), &room[1]));
  for (int i = 0; i < control->hint_layers - 1; i++) {
    const struct control_hint_layer *layer = &control->hint[i];
    struct tensor y = output_of(layer, &x, &room[i % 2]);
    TRY(pass_conv(pass, &x, layer->conv, layer->halves ? &half_size : &same_size, &y));
    TRY(pass_activate(pass, ACTIVATION_SILU, &y, &y));
    x = y;
  }
  return pass_conv(pass, &x, control->hint[control->hint_layers - 1].conv, &same_size, hint);
}

static enum status hint_run(const struct pass *pass, const struct control *control,
                            const struct tensor *image, const struct tensor *hint) {
  struct tensor picture, out = *hint;
  TRY(picture_input(pass, image, &picture));
  out.rank = 4;
  memcpy(out.shape, (int64_t[]){1, hint->shape[0], hint->shape[1], hint->shape[2]},
         sizeof out.shape);
  return layers_run(pass, control, &picture, &out);
}

enum status control_hint(struct control *control, struct arena *turn, const struct tensor *image,
                         const struct tensor *hint) {
  assert(image->element == ELEMENT_F32 && image->rank == 3 && hint->rank == 3);
  struct arena_mark mark = arena_mark(turn);
  struct pass pass = lone_pass(&control->lone, turn);
  enum status status = hint_run(&pass, control, image, hint);
  arena_release(turn, mark);
  return status;
}

int64_t control_hint_channels(const struct control *control) {
  return control->facts.unet.channels[0];
}

int control_hint_factor(const struct control *control) {
  return 1 << (control->facts.hint_levels - 1);
}

static enum status hint_dry(const struct pass *pass, const void *context,
                            const struct tensor *latents) {
  const struct control *control = context;
  int64_t factor = control_hint_factor(control);
  struct tensor image = {.rank = 3,
                         .shape = {factor * latents->shape[0], factor * latents->shape[1], 3, 1}};
  struct tensor hint = {
      .element = pass->element,
      .rank = 3,
      .shape = {latents->shape[0], latents->shape[1], control_hint_channels(control), 1}};
  return hint_run(pass, control, &image, &hint);
}

size_t control_hint_bytes(const struct control *control, int height, int width) {
  struct tensor latents = {.rank = 2, .shape = {height, width, 1, 1}};
  return lone_dry_bytes(&control->lone, hint_dry, control, &latents);
}

/* ---- a step ---- */

/* x[B, H, W, C] -> its mean over all pixels, everywhere: attention whose query is zero weighs all
 * alike. */
static enum status pool(const struct pass *pass, const struct control *control,
                        const struct tensor *x) {
  int64_t rows = x->shape[0], c = x->shape[3];
  const struct unet_facts *facts = &control->facts.unet;
  int64_t head = facts->channels[0] / facts->heads[0]; /* a width that attention is good at */
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor tokens = tensor_view(x, TENSOR_SHAPE(rows, x->shape[1] * x->shape[2], c)), mean;
  struct tensor query = {.data = control->zeros.data,
                         .element = control->zeros.element,
                         .rank = 3,
                         .shape = {rows, 1, c, 1}};
  TRY(pass_take(pass, TENSOR_SHAPE(rows, 1, c), &mean));
  TRY(pass_attention(
      pass, &(struct attention){{&query, 0}, {&tokens, 0}, {&tokens, 0}, .heads = (int)(c / head)},
      &mean));
  mean = tensor_view(&mean, TENSOR_SHAPE(rows, 1, 1, c));
  TRY(pass_upsample(pass, &mean, x));
  arena_release(pass->arena, mark);
  return OK;
}

/* y += scale * zero(x), index being which of the skips it is. */
static enum status add(const struct pass *pass, const struct control *control,
                       const struct control_call *call, int index, const struct tensor *x,
                       const struct tensor *y) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor said;
  TRY(pass_take(pass, x->rank, x->shape, &said));
  int64_t rows = x->shape[0], pixels = x->shape[1] * x->shape[2];
  struct tensor from = tensor_view(x, TENSOR_SHAPE(rows, pixels, x->shape[3]));
  struct tensor to = tensor_view(&said, TENSOR_SHAPE(rows, pixels, x->shape[3]));
  TRY(pass_matmul(pass, &from, control->zero[index], NULL, &to));
  if (control->facts.pools) {
    TRY(pool(pass, control, &said));
  }
  TRY(pass_control_add(pass, call->controls, index, &said, y));
  arena_release(pass->arena, mark);
  return OK;
}

static enum status half_run(const struct pass *pass, const struct control *control,
                            const struct control_call *call) {
  const int64_t *shape = call->input->shape;
  int64_t channels = control->facts.unet.in_channels;
  struct unet_run run = {.pass = pass, .half = &control->half, .rows = call->rows};
  struct tensor input, middle;
  TRY(pass_take(pass, TENSOR_SHAPE(shape[0], shape[1], shape[2], channels), &input));
  TRY(pass_gather(pass, call->rows, channels, &input));
  TRY(unet_half_begin(&run, &input));
  TRY(pass_hint_add(pass, call->controls, &run.skip[0]));
  TRY(unet_half_down(&run));
  TRY(unet_half_middle(&run, &middle));
  assert(run.skips == call->skips && run.skips + 1 == control->skips);
  for (int i = 0; i < run.skips; i++) {
    TRY(add(pass, control, call, i, &run.skip[i], &call->skip[i]));
  }
  return add(pass, control, call, run.skips, &middle, call->middle);
}

/* A pass of its own: what stands in the place of the U-Net's weights, or beside them, is not for
 * the net. */
enum status control_run(const struct pass *pass, const struct control *control,
                        const struct control_call *call) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct pass own = lone_pass(&control->lone, pass->arena);
  own.dry = pass->dry;
  enum status status = half_run(&own, control, call);
  arena_release(pass->arena, mark);
  return status;
}

/* For the sizes alone. */
static enum status run_dry(const struct pass *pass, const void *context,
                           const struct tensor *input) {
  static const struct tensor nowhere[CONTROL_SKIPS_MAX];
  const struct control *control = context;
  return control_run(
      pass, control,
      &(struct control_call){
          .input = input, .skip = nowhere, .skips = control->skips - 1, .middle = nowhere});
}

size_t control_run_bytes(const struct control *control, int rows, int height, int width) {
  struct tensor input = {.rank = 4, .shape = {rows, height, width, 1}};
  return lone_dry_bytes(&control->lone, run_dry, control, &input);
}
