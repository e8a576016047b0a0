/* unet_half.c - time, down and middle. */
#include "worker/model/unet_half.h"

#include <assert.h>

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};
static const struct conv_options half_size = {.stride = 2, .pad_before = 1, .pad_after = 1};

/* ---- conditioning ---- */

enum status unet_block_condition(const struct pass *pass, const struct unet_block *block,
                                 const struct conditioning *conditioning) {
  for (int i = 0; i < block->layers && block->transformer != NULL; i++) {
    TRY(transformer_condition(pass, &block->transformer[i], conditioning));
  }
  return OK;
}

enum status unet_half_condition(const struct pass *pass, const struct unet_half *half,
                                const struct conditioning *conditioning) {
  for (int i = 0; i < half->facts->levels; i++) {
    TRY(unet_block_condition(pass, &half->down[i], conditioning));
  }
  return transformer_condition(pass, &half->mid_transformer, conditioning);
}

/* ---- time ---- */

static const struct matmul_options silu = {.activation = ACTIVATION_SILU};

int64_t unet_half_added_width(const struct unet_half *half) {
  return ((half->guidance != NULL) + (half->add1 != NULL)) * weight_outputs(half->time2);
}

/* Part 0, 1 of what is added, each as wide as the time embedding. */
static struct tensor added_part(const struct tensor *added, int64_t width, int64_t part) {
  struct tensor parts = tensor_view(added, TENSOR_SHAPE(added->shape[1] / width, width));
  return tensor_rows(&parts, part, 1);
}

/* time1(waves + guidance(g)) = time1(waves) + W guidance(g): so the guidance's share is known
 * beforehand. */
static enum status add_guidance(const struct pass *pass, const struct unet_half *half,
                                const struct tensor *guidance, const struct tensor *out) {
  struct tensor projected;
  TRY(pass_take(pass, TENSOR_SHAPE(1, weight_outputs(half->guidance)), &projected));
  TRY(pass_matmul(pass, guidance, half->guidance, NULL, &projected));
  return pass_matmul(pass, &projected, half->time1_bare, NULL, out);
}

static enum status add_told(const struct pass *pass, const struct unet_half *half,
                            const struct tensor *told, const struct tensor *out) {
  struct tensor hidden;
  TRY(pass_take(pass, TENSOR_SHAPE(1, weight_outputs(half->add1)), &hidden));
  TRY(pass_matmul(pass, told, half->add1, &silu, &hidden));
  return pass_matmul(pass, &hidden, half->add2, NULL, out);
}

enum status unet_half_added(const struct pass *pass, const struct unet_half *half,
                            const struct tensor *guidance, const struct tensor *told,
                            const struct tensor *added) {
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t width = weight_outputs(half->time2), part = 0;
  if (half->guidance != NULL) {
    struct tensor out = added_part(added, width, part++);
    TRY(add_guidance(pass, half, guidance, &out));
  }
  if (half->add1 != NULL) {
    struct tensor out = added_part(added, width, part);
    TRY(add_told(pass, half, told, &out));
  }
  arena_release(pass->arena, mark);
  return OK;
}

/* y = silu(layer(x) + what each row adds there, from `first` on); first -1: nothing. */
static enum status time_layer(const struct unet_run *run, const struct tensor *x,
                              const struct weight *layer, int64_t first, const struct tensor *y) {
  if (first < 0) {
    return pass_matmul(run->pass, x, layer, &silu, y);
  }
  TRY(pass_matmul(run->pass, x, layer, NULL, y));
  return run->pass->dry ? OK : op_add_rows(run->pass->device, run->rows, first, y, y);
}

/* The time embedding is used only through silu, so silu is part of it. */
static enum status embed_time(struct unet_run *run, int64_t rows) {
  const struct pass *pass = run->pass;
  const struct unet_half *half = run->half;
  int64_t width = weight_outputs(half->time2);
  int64_t told = half->add1 == NULL ? -1 : half->guidance != NULL ? width : 0;
  struct tensor waves, hidden;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, width), &run->time_silu));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(pass_take(pass, TENSOR_SHAPE(rows, weight_inputs(half->time1)), &waves));
  TRY(pass_take(pass, TENSOR_SHAPE(rows, weight_outputs(half->time1)), &hidden));
  if (!pass->dry) {
    TRY(op_timestep_embedding(pass->device, run->rows, &waves));
  }
  TRY(time_layer(run, &waves, half->time1, half->guidance != NULL ? 0 : -1, &hidden));
  TRY(time_layer(run, &hidden, half->time2, told, &run->time_silu));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- down ---- */

enum status unet_take_picture(const struct unet_run *run, int64_t height, int64_t width,
                              int64_t channels, struct tensor *out) {
  return pass_take(run->pass, TENSOR_SHAPE(run->time_silu.shape[0], height, width, channels), out);
}

/* A fresh picture on top of the skips. */
static enum status push_skip(struct unet_run *run, int64_t height, int64_t width, int64_t channels,
                             struct tensor **out) {
  assert(run->skips < UNET_SKIPS_MAX);
  TRY(unet_take_picture(run, height, width, channels, &run->skip[run->skips]));
  *out = &run->skip[run->skips++];
  return OK;
}

enum status unet_layer_run(const struct unet_run *run, const struct unet_block *block, int layer,
                           const struct tensor *x, const struct tensor *y) {
  TRY(resnet_run(run->pass, &block->resnet[layer], x, &run->time_silu, y));
  if (block->transformer == NULL) {
    return OK;
  }
  return transformer_run(run->pass, &block->transformer[layer], run->rows, y);
}

static enum status down_run(struct unet_run *run, const struct unet_block *block) {
  struct tensor *y = NULL;
  for (int i = 0; i < block->layers; i++) {
    const struct tensor x = run->skip[run->skips - 1];
    TRY(push_skip(run, x.shape[1], x.shape[2], block->channels, &y));
    TRY(unet_layer_run(run, block, i, &x, y));
  }
  if (block->resample == NULL) {
    return OK;
  }
  const struct tensor x = run->skip[run->skips - 1];
  TRY(push_skip(run, (x.shape[1] + 1) / 2, (x.shape[2] + 1) / 2, block->channels, &y));
  return pass_conv(run->pass, &x, block->resample, &half_size, y);
}

enum status unet_half_begin(struct unet_run *run, const struct tensor *input) {
  struct tensor *first = NULL;
  run->skips = 0;
  TRY(embed_time(run, input->shape[0]));
  TRY(push_skip(run, input->shape[1], input->shape[2], run->half->facts->channels[0], &first));
  return pass_conv(run->pass, input, run->half->conv_in, &same_size, first);
}

enum status unet_half_down(struct unet_run *run) {
  for (int i = 0; i < run->half->facts->levels; i++) {
    TRY(down_run(run, &run->half->down[i]));
  }
  return OK;
}

enum status unet_half_middle(const struct unet_run *run, struct tensor *out) {
  const struct unet_half *half = run->half;
  const struct tensor *x = &run->skip[run->skips - 1];
  struct tensor first, last;
  TRY(pass_take(run->pass, x->rank, x->shape, &last));
  struct arena_mark mark = arena_mark(run->pass->arena);
  TRY(pass_take(run->pass, x->rank, x->shape, &first));
  TRY(resnet_run(run->pass, &half->mid_resnet[0], x, &run->time_silu, &first));
  TRY(transformer_run(run->pass, &half->mid_transformer, run->rows, &first));
  TRY(resnet_run(run->pass, &half->mid_resnet[1], &first, &run->time_silu, &last));
  arena_release(run->pass->arena, mark);
  *out = last;
  return OK;
}
