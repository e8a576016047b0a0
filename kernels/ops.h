/* ops.h - the one op interface. Model code calls these; kernels/ops.c checks the shapes once and
 * calls the device's row.
 *
 * Contract of every op: row b of the result depends on row b of the inputs alone, bit for bit,
 * whatever the batch size and its neighbours. Sums are kept in f32. Tensors called "activations"
 * hold device_element() values; an output may also be ELEMENT_F32 where it says so. Outputs never
 * overlap inputs unless said. Shapes: B batch, H W sides, C I O channels, L tokens, M any number of
 * rows. Wrong shapes are our own mistake: assert.
 */
#ifndef DARKROOM_KERNELS_OPS_H
#define DARKROOM_KERNELS_OPS_H

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/tensor.h"

/* ---- weights: reordered once at load into what the device likes best ---- */

/* silu x*s(x), gelu x*(1+erf(x/sqrt 2))/2, quick gelu x*s(1.702 x): behind a product, or a norm. */
enum activation { ACTIVATION_NONE, ACTIVATION_SILU, ACTIVATION_GELU, ACTIVATION_QUICK_GELU };
#define ACTIVATION_COUNT 4

struct weight; /* a packed matrix or convolution kernel with its bias; read-only after packing */

/* Host data of a weight in checkpoint layout: matrix [O, I], convolution [O, I, kh, kw]; f32, bf16
 * or f16; bias [O] or NULL data for none. Borrowed during the call only. */
struct weight_source {
  struct tensor kernel;
  struct tensor bias;
};
enum status weight_pack(struct device *device, const struct weight_source *source,
                        struct weight **out);
void weight_close(struct weight **weight);
int64_t weight_outputs(const struct weight *weight); /* O */
int64_t weight_inputs(const struct weight *weight);  /* I */

/* ---- matrix products and convolutions ---- */

struct matmul_options {
  enum activation activation;    /* applied to x W' + bias, before the residual */
  const struct tensor *residual; /* [M, O] added last, or NULL; may be y itself */
};
/* y[M, O] = activation(x[M, I] W^T + bias) + residual. x, y of rank 2 or 3 (leading dimensions are
 * rows); with rank 3 the first dimension is the batch. y may be f32. options NULL = none. */
enum status op_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct matmul_options *options, const struct tensor *y);

struct conv_options {
  int stride;                       /* 1 or 2; 0 means 1 */
  int pad_before, pad_after;        /* zeros above and left / below and right */
  const struct tensor *channel_add; /* [B, O] added to every pixel (time embedding), or NULL */
  const struct tensor *residual;    /* [B, Ho, Wo, O] added last, or NULL; may be y itself */
};
/* y[B, Ho, Wo, O] = conv(x[B, H, W, I], w[O, I, kh, kw]) + bias + channel_add + residual; Ho = (H +
 * pads - kh)/stride + 1. y may be f32. */
enum status op_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y);

/* ---- norms ---- */

struct norm {
  struct tensor gamma, beta; /* f32 [C] on the device */
  float epsilon;
  int groups; /* group norm only */
};
/* Per image and group of C/groups channels over all pixels: y = (x - mean)/sqrt(var + eps) * gamma
 * + beta, then SiLU if asked. Biased variance. x, y [B, H, W, C]; y may be x. (Wu & He 2018) */
enum status op_group_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                          bool silu, const struct tensor *y);
/* Per row of C: the same with one group. x, y [..., C]; y may be x. (Ba et al. 2016) */
enum status op_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                          const struct tensor *y);

/* ---- attention ---- */

/* Columns [first, first + heads * d) of a [B, L, any] tensor: slices of a fused q,k,v product. */
struct columns {
  const struct tensor *tensor;
  int64_t first;
};
struct attention {
  struct columns q, k, v;
  /* Cross attention: instead of k and v, one tensor [Lb, 2 * heads * d] per batch row, keys then
   * values side by side; Lb may differ per row. NULL for self attention. */
  const struct tensor *const *context;
  int heads;
  bool causal; /* token i sees tokens 0..i */
};
/* y[B, L, heads * d] = softmax(q k^T / sqrt(d)) v per head (Vaswani et al. 2017); d from y's last
 * dimension. */
enum status op_attention(struct device *device, const struct attention *attention,
                         const struct tensor *y);

/* ---- pointwise and moving ---- */

/* y[M, I] = x[:, :I] * gelu(x[:, I:]), gelu with erf. x [.., 2 I]. (Shazeer 2020) */
enum status op_geglu(struct device *device, const struct tensor *x, const struct tensor *y);
/* y[.., Ca + Cb] = a beside b. */
enum status op_concat(struct device *device, const struct tensor *a, const struct tensor *b,
                      const struct tensor *y);
/* Nearest neighbour from x[B, h, w, C] to y[B, H, W, C]: source = floor(i * h / H). */
enum status op_upsample(struct device *device, const struct tensor *x, const struct tensor *y);
/* y[B, D] = [cos(t f) | sin(t f)], f_i = 10000^(-i/(D/2)), one host timestep per row, computed in
 * f32. */
enum status op_timestep_embedding(struct device *device, const float *timesteps,
                                  const struct tensor *y);
/* y[B, L, C] = table[ids] + positions[0..L). table [V, C], positions [P, C] activations; ids are B
 * * L host values. */
enum status op_embed(struct device *device, const struct tensor *table,
                     const struct tensor *positions, const int32_t *ids, const struct tensor *y);

/* ---- latents: the sampler's side ---- */

/* Row b of y[B, H, W, C] (activations or f32) = scale[b] * rows[b] (f32 [H, W, C], anywhere on the
 * device). */
enum status op_gather(struct device *device, const struct tensor *const *rows, const float *scales,
                      const struct tensor *y);

/* One sample's own update. slots is f32 [S, H, W, C] and is replaced by matrix * (slots, out,
 * noise), where out = prediction, or uncond + guidance * (cond - uncond) with two rows; matrix is S
 * x (S + 2) host values, row major. */
struct advance {
  struct tensor slots;
  const float *matrix;
  int cond_row;   /* row of the prediction tensor */
  int uncond_row; /* -1: no guidance */
  float guidance;
  const struct tensor *noise; /* f32 [H, W, C], NULL when the noise column is zero */
};
/* prediction is f32 [B, H, W, C]. */
enum status op_advance(struct device *device, const struct advance *samples, int count,
                       const struct tensor *prediction);

/* y u8 [B, H, W, 3] = round_half_even(clamp(x/2 + 1/2, 0, 1) * 255). */
enum status op_pixels(struct device *device, const struct tensor *x, const struct tensor *y);

struct measure {
  bool finite;
  float min, max; /* over the finite values */
};
/* Looks at all values of x (float types) and gives the host the result. */
enum status op_measure(struct device *device, const struct tensor *x, struct measure *out);

#endif
