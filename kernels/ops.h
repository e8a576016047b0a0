/* ops.h - the one op interface. Model code calls these; kernels/ops.c checks the shapes once and
 * calls the device's row.
 *
 * Contract of every op: row b of the result depends on row b of the inputs alone, bit for bit,
 * whatever the batch size and its neighbours. Sums are kept in f32. Tensors called "activations"
 * hold one of the types that device_element_for() gives, the same in all operands of an op and
 * in its weight; an output may also be ELEMENT_F32 where it says so. Outputs never overlap
 * inputs unless said. Shapes: B batch, H W sides, C I O channels, L tokens, M any number of
 * rows. Wrong shapes are our own mistake: assert.
 *
 * An op is queued (queue.h): when the call returns it may not have run. Structs and tensors
 * given to it are read during the call; the memory that they point to is the device's and must
 * live until the op has run. Nothing of the host's is read later, but what a comment says. */
#ifndef DARKROOM_KERNELS_OPS_H
#define DARKROOM_KERNELS_OPS_H

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/rows.h"
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
  enum element element; /* of the activations that it will meet: one of device_element_for() */
  bool doubling;        /* a 3x3 kernel for op_upsample_conv, and for nothing else */
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
  /* Cross attention: instead of k and v, the prompt of each row of the batch, which may be of
   * any number of tokens: rows[b].context is one [tokens, 2 * heads * d] after another, keys
   * then values side by side, a layer each; this layer's begins behind `column` columns of all
   * tokens. B rows on the device, read when the op runs. NULL for self attention. */
  const struct batch_row *rows;
  int64_t column;
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
/* y[B, H, W, O] = conv3x3(upsample(x[B, h, w, I]), w) + bias with H = 2h, W = 2w, zeros around:
 * the same as op_upsample and op_conv2d, in four 2x2 convolutions of x, one for each parity of
 * row and column, whose kernels are sums of w's (summed in f32, rounded once). w is packed with
 * `doubling`. */
enum status op_upsample_conv(struct device *device, const struct tensor *x, const struct weight *w,
                             const struct tensor *y);
/* y[B, D] = [cos(t f) | sin(t f)], f_i = 10000^(-i/(D/2)), t = rows[b].timestep, in f32. B rows on
 * the device. */
enum status op_timestep_embedding(struct device *device, const struct batch_row *rows,
                                  const struct tensor *y);
/* y[B, L, C] = table[ids] + positions[0..L). table [V, C], positions [P, C] activations; ids i32
 * [B, L] on the device, which must be below V. */
enum status op_embed(struct device *device, const struct tensor *table,
                     const struct tensor *positions, const struct tensor *ids,
                     const struct tensor *y);

/* ---- latents: the sampler's side ---- */

/* Row b of y[B, H, W, C] (activations or f32) = rows[b].scale * rows[b].latents. B rows on the
 * device. */
enum status op_gather(struct device *device, const struct batch_row *rows, const struct tensor *y);

/* For each of `count` samples on the device that is not idle: slots = matrix * (slots, out, noise),
 * where out is its row of the prediction f32 [B, H, W, C], or uncond + guidance * (cond - uncond)
 * with two rows. finite i32 [count] becomes 1 where all the new slots are finite (and at idle
 * places), else 0. */
enum status op_advance(struct device *device, const struct batch_sample *samples, int count,
                       const struct tensor *prediction, const struct tensor *finite);

/* y u8 [B, H, W, 3] = round_half_even(clamp(x/2 + 1/2, 0, 1) * 255), NaN as 0. */
enum status op_pixels(struct device *device, const struct tensor *x, const struct tensor *y);

/* finite i32 [B] = 1 where all values of row b of x (activations or f32) are finite, else 0. */
enum status op_finite(struct device *device, const struct tensor *x, const struct tensor *finite);

#endif
