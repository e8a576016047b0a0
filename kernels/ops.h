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
#include "kernels/ops_latents.h"
#include "kernels/ops_products.h"
#include "kernels/rows.h"
#include "kernels/tensor.h"

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
/* y[B, D] = [cos(t f) | sin(t f)], f_i = 10000^(-i/(D/2)), t = rows[b].timestep, in f32. B rows on
 * the device. */
enum status op_timestep_embedding(struct device *device, const struct batch_row *rows,
                                  const struct tensor *y);
/* y[B, L, C] = words[ids] + positions[0..L). table [V, C], positions [P, C] activations; ids i32
 * [B, L] on the device. Words are the table's and behind them those of `extra` [E, C] (textual
 * inversion), NULL or without data for none: ids must be below V + E. */
struct words {
  const struct tensor *table, *extra, *positions;
};
enum status op_embed(struct device *device, const struct words *words, const struct tensor *ids,
                     const struct tensor *y);
/* y = activation(x), x and y of one shape; y may be x. */
enum status op_activate(struct device *device, enum activation activation, const struct tensor *x,
                        const struct tensor *y);
/* Row b of y[B, D] = silu(x[B, D] + rows[b].added[first..first + D)), nothing added where that is
 * NULL; y may be x. B rows on the device. */
enum status op_add_rows(struct device *device, const struct batch_row *rows, int64_t first,
                        const struct tensor *x, const struct tensor *y);
/* y[b] += controls[b].scale[skip] * x[b], x and y [B, ...]. Where the scale is 0 y keeps its bits,
 * and x is not looked at. B controls on the device. */
enum status op_control_add(struct device *device, const struct batch_control *controls, int skip,
                           const struct tensor *x, const struct tensor *y);
/* y[b] += controls[b].hint, of y[b]'s shape; where that is NULL y keeps its bits. */
enum status op_hint_add(struct device *device, const struct batch_control *controls,
                        const struct tensor *y);
/* Emphasis of words: x[l] *= weights[l] for the L tokens of a chunk, and all of it by one number,
 * so that its mean stays what it was (stable-diffusion-webui's "original" emphasis); a mean of 0
 * stays as it comes. x [L, C] activations; weights f32 [L] on the device. Sums are f64. */
enum status op_weigh(struct device *device, const struct tensor *weights, const struct tensor *x);

#endif
