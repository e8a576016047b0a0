/* unet.c - the way up, with the skips of the way down. */
#include "worker/model/unet.h"

#include <assert.h>

#include "worker/model/control.h"

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

enum status unet_condition(const struct pass *pass, const struct unet *unet,
                           const struct conditioning *conditioning) {
  TRY(unet_half_condition(pass, &unet->half, conditioning));
  for (int i = 0; i < unet->facts->levels; i++) {
    TRY(unet_block_condition(pass, &unet->up[i], conditioning));
  }
  return OK;
}

/* ---- up ---- */

/* y = layer([x | skip]), the skip being the one on top. */
static enum status joined_layer_run(struct unet_run *run, const struct unet_block *block, int layer,
                                    const struct tensor *x, const struct tensor *y) {
  struct arena_mark mark = arena_mark(run->pass->arena);
  const struct tensor *skip = &run->skip[--run->skips];
  struct tensor joined;
  TRY(unet_take_picture(run, y->shape[1], y->shape[2], x->shape[3] + skip->shape[3], &joined));
  TRY(pass_concat(run->pass, x, skip, &joined));
  TRY(unet_layer_run(run, block, layer, &joined, y));
  arena_release(run->pass->arena, mark);
  return OK;
}

/* All layers of a level, x -> last, in `last` and another picture by turns. */
static enum status up_layers_run(struct unet_run *run, const struct unet_block *block,
                                 const struct tensor *x, const struct tensor *last) {
  struct tensor other;
  TRY(pass_take(run->pass, last->rank, last->shape, &other));
  for (int i = 0; i < block->layers; i++) {
    const struct tensor *y = (block->layers - 1 - i) % 2 == 0 ? last : &other;
    TRY(joined_layer_run(run, block, i, x, y));
    x = y;
  }
  return OK;
}

/* To twice the size, or one less where the way down has rounded up. */
static enum status grow(const struct pass *pass, const struct unet_block *block,
                        const struct tensor *x, const struct tensor *out) {
  if (out->shape[1] == 2 * x->shape[1] && out->shape[2] == 2 * x->shape[2]) {
    return pass_upsample_conv(pass, x, block->doubling, out);
  }
  struct tensor doubled;
  TRY(pass_take(pass, out->rank, out->shape, &doubled));
  TRY(pass_upsample(pass, x, &doubled));
  return pass_conv(pass, &doubled, block->resample, &same_size, out);
}

/* x -> out, doubled unless the level is the last. The new size is that of the next skip, which the
 * down path may have rounded up. */
static enum status up_run(struct unet_run *run, const struct unet_block *block,
                          const struct tensor *x, struct tensor *out) {
  const struct pass *pass = run->pass;
  if (block->resample == NULL) {
    TRY(unet_take_picture(run, x->shape[1], x->shape[2], block->channels, out));
    struct arena_mark mark = arena_mark(pass->arena);
    TRY(up_layers_run(run, block, x, out));
    arena_release(pass->arena, mark);
    return OK;
  }
  const struct tensor *next = &run->skip[run->skips - 1 - block->layers];
  struct tensor small;
  TRY(unet_take_picture(run, next->shape[1], next->shape[2], block->channels, out));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(unet_take_picture(run, x->shape[1], x->shape[2], block->channels, &small));
  struct arena_mark inside = arena_mark(pass->arena);
  TRY(up_layers_run(run, block, x, &small));
  arena_release(pass->arena, inside);
  TRY(grow(pass, block, &small, out));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- the whole ---- */

/* What control nets say is added to the skips only now: on the way down each of them was what the
 * next layer was given, and those are given what they would be without. */
static enum status add_controls(const struct unet_run *run, const struct predict *predict,
                                const struct tensor *middle) {
  for (int i = 0; i < predict->control_count; i++) {
    const struct predict_control *control = &predict->control[i];
    TRY(control_run(run->pass, control->net,
                    &(struct control_call){.input = &predict->input,
                                           .rows = control->rows,
                                           .controls = control->controls,
                                           .skip = run->skip,
                                           .skips = run->skips,
                                           .middle = middle}));
  }
  return OK;
}

static enum status run_levels(struct unet_run *run, const struct unet *unet,
                              const struct predict *predict, struct tensor *out) {
  TRY(unet_half_begin(run, &predict->input));
  TRY(unet_half_down(run));
  TRY(unet_half_middle(run, out));
  TRY(add_controls(run, predict, out));
  for (int i = 0; i < unet->facts->levels; i++) {
    struct tensor x = *out;
    TRY(up_run(run, &unet->up[i], &x, out));
  }
  assert(run->skips == 0);
  return OK;
}

enum status unet_run(const struct pass *pass, const struct unet *unet,
                     const struct predict *predict) {
  struct unet_run run = {.pass = pass, .half = &unet->half, .rows = predict->rows};
  struct tensor last;
  TRY(run_levels(&run, unet, predict, &last));
  TRY(pass_group_norm(pass, &last, &unet->norm_out, true, &last));
  return pass_conv(pass, &last, unet->conv_out, &same_size, &predict->prediction);
}
