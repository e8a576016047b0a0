/* vae_encode.c - the encoder: levels that halve the picture, then the middle at the latents' size.
 */
#include "worker/model/vae.h"

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};
/* The encoder was trained with zeros below and to the right alone. */
static const struct conv_options half_size = {.stride = 2, .pad_after = 1};

/* x -> out, of half the size unless the level is the last. What is larger is taken behind out and
 * given back. */
static enum status down_run(const struct pass *pass, const struct vae_level *level,
                            const struct tensor *x, struct tensor *out) {
  int64_t rows = x->shape[0], height = x->shape[1], width = x->shape[2];
  bool halves = level->resize != NULL;
  int factor = halves ? 2 : 1;
  TRY(pass_take(pass, TENSOR_SHAPE(rows, height / factor, width / factor, level->channels), out));
  struct arena_mark mark = arena_mark(pass->arena);
  struct tensor large = *out;
  if (halves) {
    TRY(pass_take(pass, TENSOR_SHAPE(rows, height, width, level->channels), &large));
  }
  TRY(vae_layers_run(pass, level, x, &large));
  if (halves) {
    TRY(pass_conv(pass, &large, level->resize, &half_size, out));
  }
  arena_release(pass->arena, mark);
  return OK;
}

/* y = matrix(x) at every pixel. */
static enum status pixels_run(const struct pass *pass, const struct weight *matrix,
                              const struct tensor *x, const struct tensor *y) {
  int64_t rows = x->shape[0], pixels = x->shape[1] * x->shape[2];
  struct tensor from = tensor_view(x, TENSOR_SHAPE(rows, pixels, x->shape[3]));
  struct tensor to = tensor_view(y, TENSOR_SHAPE(rows, pixels, y->shape[3]));
  return pass_matmul(pass, &from, matrix, NULL, &to);
}

enum status vae_moments_run(const struct pass *pass, const struct vae_side *encoder,
                            const struct tensor *x, const struct tensor *moments) {
  bool quantizes = encoder->quant != NULL, standardizes = encoder->standard != NULL;
  struct tensor raw = *moments, quantized = *moments;
  if (quantizes || standardizes) {
    TRY(pass_take(pass, moments->rank, moments->shape, &raw));
  }
  if (quantizes && standardizes) {
    TRY(pass_take(pass, moments->rank, moments->shape, &quantized));
  }
  TRY(pass_group_norm(pass, x, &encoder->norm_out, true, x));
  TRY(pass_conv(pass, x, encoder->conv_out, &same_size, &raw));
  if (quantizes) {
    TRY(pixels_run(pass, encoder->quant, &raw, &quantized));
  }
  return standardizes ? pixels_run(pass, encoder->standard, quantizes ? &quantized : &raw, moments)
                      : OK;
}

enum status vae_encode(const struct pass *pass, const struct vae *vae, const struct tensor *picture,
                       const struct tensor *moments) {
  const struct vae_side *encoder = &vae->encoder;
  struct tensor x, out;
  TRY(pass_take(pass,
                TENSOR_SHAPE(picture->shape[0], picture->shape[1], picture->shape[2],
                             weight_outputs(encoder->conv_in)),
                &x));
  TRY(pass_conv(pass, picture, encoder->conv_in, &same_size, &x));
  for (int i = 0; i < vae->facts->levels; i++) {
    struct tensor above = x;
    TRY(down_run(pass, &encoder->level[i], &above, &x));
  }
  TRY(pass_take(pass, x.rank, x.shape, &out));
  TRY(vae_middle_run(pass, vae, &encoder->middle, &x, &out));
  return vae_moments_run(pass, encoder, &out, moments);
}
