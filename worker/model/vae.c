/* vae.c - the middle of both sides, and the decoder: middle at the latents' size, then levels that
 * double it. */
#include "worker/model/vae.h"

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* ---- the middle ---- */

/* x += out(attention(norm(x))), one head over all channels and pixels. */
static enum status attend(const struct pass *pass, const struct vae_attention *attention,
                          const struct tensor *x) {
  struct arena_mark mark = arena_mark(pass->arena);
  int64_t c = x->shape[3];
  struct tensor tokens = tensor_view(x, TENSOR_SHAPE(x->shape[0], x->shape[1] * x->shape[2], c));
  struct tensor normed, qkv;
  TRY(pass_take(pass, x->rank, x->shape, &normed));
  TRY(pass_take(pass, TENSOR_SHAPE(x->shape[0], tokens.shape[1], 3 * c), &qkv));
  TRY(pass_group_norm(pass, x, &attention->norm, false, &normed));
  normed = tensor_view(&normed, tokens.rank, tokens.shape);
  TRY(pass_matmul(pass, &normed, attention->qkv, NULL, &qkv));
  TRY(pass_attention(pass, &(struct attention){{&qkv, 0}, {&qkv, c}, {&qkv, 2 * c}, .heads = 1},
                     &normed));
  TRY(pass_matmul(pass, &normed, attention->out, &(struct matmul_options){.residual = &tokens},
                  &tokens));
  arena_release(pass->arena, mark);
  return OK;
}

enum status vae_middle_run(const struct pass *pass, const struct vae *vae,
                           const struct vae_middle *middle, const struct tensor *x,
                           const struct tensor *out) {
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor first;
  TRY(pass_take(pass, out->rank, out->shape, &first));
  TRY(resnet_run(pass, &middle->resnet[0], x, NULL, &first));
  if (vae->facts->mid_attention) {
    TRY(attend(pass, &middle->attention, &first));
  }
  TRY(resnet_run(pass, &middle->resnet[1], &first, NULL, out));
  arena_release(pass->arena, mark);
  return OK;
}

/* ---- the decoder ---- */

/* y = matrix(x) at every pixel, taken from the pass's arena. */
static enum status pixels_run(const struct pass *pass, const struct weight *matrix,
                              const struct tensor *x, struct tensor *y) {
  int64_t rows = x->shape[0], pixels = x->shape[1] * x->shape[2];
  struct tensor made;
  TRY(pass_take(pass, x->rank, x->shape, &made));
  struct tensor from = tensor_view(x, TENSOR_SHAPE(rows, pixels, x->shape[3]));
  struct tensor to = tensor_view(&made, TENSOR_SHAPE(rows, pixels, x->shape[3]));
  TRY(pass_matmul(pass, &from, matrix, NULL, &to));
  *y = made;
  return OK;
}

enum status vae_latents_run(const struct pass *pass, const struct vae_side *decoder,
                            const struct tensor *latents, struct tensor *out) {
  struct tensor x = *latents;
  if (decoder->standard != NULL) {
    struct tensor standard = x;
    TRY(pixels_run(pass, decoder->standard, &standard, &x));
  }
  if (decoder->quant != NULL) {
    struct tensor quantized = x;
    TRY(pixels_run(pass, decoder->quant, &quantized, &x));
  }
  *out = x;
  return OK;
}

/* out = mid(conv_in(latents)) */
static enum status begin(const struct pass *pass, const struct vae *vae,
                         const struct tensor *latents, struct tensor *out) {
  const struct vae_side *decoder = &vae->decoder;
  struct tensor x, first, last;
  TRY(pass_take(pass,
                TENSOR_SHAPE(latents->shape[0], latents->shape[1], latents->shape[2],
                             weight_outputs(decoder->conv_in)),
                &last));
  struct arena_mark mark = arena_mark(pass->arena);
  TRY(pass_take(pass, last.rank, last.shape, &first));
  TRY(vae_latents_run(pass, decoder, latents, &x));
  TRY(pass_conv(pass, &x, decoder->conv_in, &same_size, &first));
  TRY(vae_middle_run(pass, vae, &decoder->middle, &first, &last));
  arena_release(pass->arena, mark);
  *out = last;
  return OK;
}

enum status vae_layers_run(const struct pass *pass, const struct vae_level *level,
                           const struct tensor *x, const struct tensor *last) {
  struct tensor other = {0};
  if (level->layers > 1) {
    TRY(pass_take(pass, last->rank, last->shape, &other));
  }
  for (int i = 0; i < level->layers; i++) {
    const struct tensor *y = (level->layers - 1 - i) % 2 == 0 ? last : &other;
    TRY(resnet_run(pass, &level->resnet[i], x, NULL, y));
    x = y;
  }
  return OK;
}

/* x -> out, doubled unless the level is the last. */
static enum status up_run(const struct pass *pass, const struct vae_level *level,
                          const struct tensor *x, struct tensor *out) {
  int64_t rows = x->shape[0], height = x->shape[1], width = x->shape[2];
  bool doubles = level->resize != NULL;
  int factor = doubles ? 2 : 1;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, factor * height, factor * width, level->channels), out));
  struct arena_mark mark = arena_mark(pass->arena);
  if (!doubles) {
    TRY(vae_layers_run(pass, level, x, out));
    arena_release(pass->arena, mark);
    return OK;
  }
  struct tensor small;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, height, width, level->channels), &small));
  struct arena_mark inside = arena_mark(pass->arena);
  TRY(vae_layers_run(pass, level, x, &small));
  arena_release(pass->arena, inside);
  TRY(pass_upsample_conv(pass, &small, level->resize, out));
  arena_release(pass->arena, mark);
  return OK;
}

enum status vae_run(const struct pass *pass, const struct vae *vae, const struct tensor *latents,
                    const struct tensor *picture) {
  struct tensor x;
  TRY(begin(pass, vae, latents, &x));
  for (int i = 0; i < vae->facts->levels; i++) {
    struct tensor below = x;
    TRY(up_run(pass, &vae->decoder.level[i], &below, &x));
  }
  TRY(pass_group_norm(pass, &x, &vae->decoder.norm_out, true, &x));
  return pass_conv(pass, &x, vae->decoder.conv_out, &same_size, picture);
}
