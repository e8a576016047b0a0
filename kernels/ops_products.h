/* ops_products.h - weights, matrix products and convolutions. Part of ops.h, whose contract holds.
 */
#ifndef DARKROOM_KERNELS_OPS_PRODUCTS_H
#define DARKROOM_KERNELS_OPS_PRODUCTS_H

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/rows.h"
#include "kernels/tensor.h"

/* ---- weights: reordered once at load into what the device likes best ---- */

/* silu x*s(x), gelu x*(1+erf(x/sqrt 2))/2, quick gelu x*s(1.702 x), relu max(x, 0), soft clamp 3
 * tanh(x/3): behind a product, a convolution or a norm, or by op_activate. What is not a number may
 * become 0 in a relu behind a product. */
enum activation {
  ACTIVATION_NONE,
  ACTIVATION_SILU,
  ACTIVATION_GELU,
  ACTIVATION_QUICK_GELU,
  ACTIVATION_RELU,
  ACTIVATION_SOFT_CLAMP /* by op_activate only */
};
#define ACTIVATION_COUNT 6

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
/* The shape of a weight without its values, for passes that compute nothing: in the host's arena,
 * never closed, and no op takes it. EXHAUSTED. */
enum status weight_outline(struct device *device, const struct weight_source *source,
                           struct arena *host, struct weight **out);
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
  const struct tensor *residual;    /* [B, Ho, Wo, O] added, or NULL; may be y itself */
  enum activation activation;       /* NONE or RELU: of the whole sum, last of all */
};
/* y[B, Ho, Wo, O] = activation(conv(x[B, H, W, I], w[O, I, kh, kw]) + bias + channel_add +
 * residual); Ho = (H + pads - kh)/stride + 1. y may be f32. */
enum status op_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y);

/* y[B, H, W, O] = conv3x3(upsample(x[B, h, w, I]), w) + bias with H = 2h, W = 2w, zeros around:
 * the same as op_upsample and op_conv2d, in four 2x2 convolutions of x, one for each parity of
 * row and column, whose kernels are sums of w's (summed in f32, rounded once). w is packed with
 * `doubling`. */
enum status op_upsample_conv(struct device *device, const struct tensor *x, const struct weight *w,
                             const struct tensor *y);

/* Modules [first, first + count) of rows[b].adapters: layers of one input whose outputs lie side by
 * side, as q, k and v of a fused product do. */
struct modules {
  int32_t first, count; /* count: 1..ADAPTED_TOGETHER_MAX */
};
/* What adapters add to linear layers (LoRA: Hu et al. 2021): for each row b that has adapters, and
 * each of its modules m of a rank that is not 0,
 *   y[b, l, columns of m] += up (down x[b, l])
 * x activations [B, L, I] or [B, I], I even; y [B, L, count * O] or [B, count * O], activations or
 * f32. The sums are f32, down x is rounded once, to the type of the activations; ranks are
 * 0..ADAPTER_RANK_MAX and differ from row to row. What has nothing to add keeps its bits. B rows
 * on the device; so are the modules, and what they point to. */
enum status op_adapt(struct device *device, const struct batch_row *rows, struct modules modules,
                     const struct tensor *x, const struct tensor *y);

#endif
