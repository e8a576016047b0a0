/* unet.c - down, middle and up, with the skips between. */
#include "worker/model/unet.h"

#include <assert.h>

#define LAYERS_MAX 16 /* a level; family.c holds the config to it */
#define SKIPS_MAX (UNET_LEVELS_MAX * (LAYERS_MAX + 1) + 1)

/* What one call carries through the levels. */
struct run {
  const struct pass *pass;
  const struct unet *unet;
  const struct predict *predict;
  struct tensor time_silu; /* [B, time width] */
  struct tensor skip[SKIPS_MAX];
  int skips;
};

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};
static const struct conv_options half_size = {.stride = 2, .pad_before = 1, .pad_after = 1};

/* ---- conditioning ---- */

static enum status condition_block(const struct pass *pass, const struct unet_block *block,
                                   const struct conditioning *conditioning) {
  for (int i = 0; i < block->layers && block->transformer != NULL; i++) {
    TRY(transformer_condition(pass, &block->transformer[i], conditioning));
  }
  return OK;
}

enum status unet_condition(const struct pass *pass, const struct unet *unet,
                           const struct conditioning *conditioning) {
  for (int i = 0; i < unet->facts->levels; i++) {
    TRY(condition_block(pass, &unet->down[i], conditioning));
    TRY(condition_block(pass, &unet->up[i], conditioning));
  }
  return transformer_condition(pass, &unet->mid_transformer, conditioning);
}

/* ---- time ---- */

/* The time embedding is used only through silu, so silu is part of it. */
static enum status embed_time(struct run *run) {
  const struct pass *pass = run->pass;
  const struct unet *unet = run->unet;
  int64_t rows = run->predict->input.shape[0];
  static const struct matmul_options silu = {.activation = ACTIVATION_SILU};
  struct tensor waves, hidden;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, weight_outputs(unet->time2)), &run->time_silu));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(pass_take(pass, TENSOR_SHAPE(rows, weight_inputs(unet->time1)), &waves));
  TRY(pass_take(pass, TENSOR_SHAPE(rows, weight_outputs(unet->time1)), &hidden));
  if (!pass->dry) {
    TRY(op_timestep_embedding(pass->device, run->predict->rows, &waves));
  }
  TRY(pass_matmul(pass, &waves, unet->time1, &silu, &hidden));
  TRY(pass_matmul(pass, &hidden, unet->time2, &silu, &run->time_silu));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- down ---- */

static enum status take_picture(const struct run *run, int64_t height, int64_t width,
                                int64_t channels, struct tensor *out) {
  return pass_take(run->pass, TENSOR_SHAPE(run->predict->input.shape[0], height, width, channels),
                   out);
}

/* A fresh picture on top of the skips. */
static enum status push_skip(struct run *run, int64_t height, int64_t width, int64_t channels,
                             struct tensor **out) {
  assert(run->skips < SKIPS_MAX);
  TRY(take_picture(run, height, width, channels, &run->skip[run->skips]));
  *out = &run->skip[run->skips++];
  return OK;
}

static enum status layer_run(const struct run *run, const struct unet_block *block, int layer,
                             const struct tensor *x, const struct tensor *y) {
  TRY(resnet_run(run->pass, &block->resnet[layer], x, &run->time_silu, y));
  if (block->transformer == NULL) {
    return OK;
  }
  return transformer_run(run->pass, &block->transformer[layer], run->predict->rows, y);
}

static enum status down_run(struct run *run, const struct unet_block *block) {
  struct tensor *y = NULL;
  for (int i = 0; i < block->layers; i++) {
    const struct tensor x = run->skip[run->skips - 1];
    TRY(push_skip(run, x.shape[1], x.shape[2], block->channels, &y));
    TRY(layer_run(run, block, i, &x, y));
  }
  if (block->resample == NULL) {
    return OK;
  }
  const struct tensor x = run->skip[run->skips - 1];
  TRY(push_skip(run, (x.shape[1] + 1) / 2, (x.shape[2] + 1) / 2, block->channels, &y));
  return pass_conv(run->pass, &x, block->resample, &half_size, y);
}

static enum status mid_run(const struct run *run, struct tensor *out) {
  const struct unet *unet = run->unet;
  const struct tensor *x = &run->skip[run->skips - 1];
  struct tensor first;
  TRY(pass_take(run->pass, x->rank, x->shape, out));
  struct arena_mark mark = arena_mark(run->pass->arena);
  TRY(pass_take(run->pass, x->rank, x->shape, &first));
  TRY(resnet_run(run->pass, &unet->mid_resnet[0], x, &run->time_silu, &first));
  TRY(transformer_run(run->pass, &unet->mid_transformer, run->predict->rows, &first));
  TRY(resnet_run(run->pass, &unet->mid_resnet[1], &first, &run->time_silu, out));
  arena_release(run->pass->arena, mark);
  return OK;
}

/* ---- up ---- */

/* y = layer([x | skip]), the skip being the one on top. */
static enum status joined_layer_run(struct run *run, const struct unet_block *block, int layer,
                                    const struct tensor *x, const struct tensor *y) {
  struct arena_mark mark = arena_mark(run->pass->arena);
  const struct tensor *skip = &run->skip[--run->skips];
  struct tensor joined;
  TRY(take_picture(run, y->shape[1], y->shape[2], x->shape[3] + skip->shape[3], &joined));
  TRY(pass_concat(run->pass, x, skip, &joined));
  TRY(layer_run(run, block, layer, &joined, y));
  arena_release(run->pass->arena, mark);
  return OK;
}

/* All layers of a level, x -> last, in `last` and another picture by turns. */
static enum status up_layers_run(struct run *run, const struct unet_block *block,
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
static enum status up_run(struct run *run, const struct unet_block *block, const struct tensor *x,
                          struct tensor *out) {
  const struct pass *pass = run->pass;
  if (block->resample == NULL) {
    TRY(take_picture(run, x->shape[1], x->shape[2], block->channels, out));
    struct arena_mark mark = arena_mark(pass->arena);
    TRY(up_layers_run(run, block, x, out));
    arena_release(pass->arena, mark);
    return OK;
  }
  const struct tensor *next = &run->skip[run->skips - 1 - block->layers];
  struct tensor small;
  TRY(take_picture(run, next->shape[1], next->shape[2], block->channels, out));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(take_picture(run, x->shape[1], x->shape[2], block->channels, &small));
  struct arena_mark inside = arena_mark(pass->arena);
  TRY(up_layers_run(run, block, x, &small));
  arena_release(pass->arena, inside);
  TRY(grow(pass, block, &small, out));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- the whole ---- */

static enum status run_levels(struct run *run, struct tensor *out) {
  const struct unet *unet = run->unet;
  const struct tensor *input = &run->predict->input;
  struct tensor *first = NULL;
  TRY(push_skip(run, input->shape[1], input->shape[2], unet->facts->channels[0], &first));
  TRY(pass_conv(run->pass, input, unet->conv_in, &same_size, first));
  for (int i = 0; i < unet->facts->levels; i++) {
    TRY(down_run(run, &unet->down[i]));
  }
  TRY(mid_run(run, out));
  for (int i = 0; i < unet->facts->levels; i++) {
    struct tensor x = *out;
    TRY(up_run(run, &unet->up[i], &x, out));
  }
  assert(run->skips == 0);
  return OK;
}

enum status unet_run(const struct pass *pass, const struct unet *unet,
                     const struct predict *predict) {
  struct run run = {.pass = pass, .unet = unet, .predict = predict};
  struct tensor last;
  TRY(embed_time(&run));
  TRY(run_levels(&run, &last));
  TRY(pass_group_norm(pass, &last, &unet->norm_out, true, &last));
  return pass_conv(pass, &last, unet->conv_out, &same_size, &predict->prediction);
}
