/* launch_products.h - our own kernels that multiply: attention, convolutions and matrix products,
 * and what stands behind a library's product. Rules and words are those of launch.h, by which this
 * is included. */
#ifndef DARKROOM_KERNELS_CUDA_LAUNCH_PRODUCTS_H
#define DARKROOM_KERNELS_CUDA_LAUNCH_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

#include "kernels/cuda/launch_types.h"
#include "kernels/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- attention: the flash kernel that serves every head, and judges the library's ---- */

struct launch_attention {
  const void *q, *k, *v;             /* first value of row 0, token 0, head 0 */
  void *y;                           /* [images, tokens, heads * depth] */
  int64_t q_image, k_image, v_image; /* values from one image to the next */
  int64_t q_token, k_token, v_token; /* values from one token to the next */
  const struct batch_row *rows;      /* cross attention (see struct attention): then k and v are not
                                        looked at; NULL: not so */
  int64_t column;
  enum launch_element element;
  int64_t images, tokens, keys;
  int heads, depth, causal;
};
cudaError_t launch_attention(const struct launch_attention *attention, cudaStream_t stream);

/* ---- products: an implicit matrix product that serves every shape, and judges the library's
 * ---- */

/* A convolution over NHWC, or with kernel 1x1 and height = 1 a matrix product over width rows.
 * Where a 2x2 kernel of a doubling convolution writes one parity of a larger picture, y_row and
 * y_pixel say how far apart its outputs are. */
struct launch_product {
  const void *x;           /* [images, height, width, inputs] */
  const void *w;           /* [outputs, kernel_height, kernel_width, inputs], as x */
  const float *bias;       /* NULL for none */
  const void *channel_add; /* [images, outputs] in add_element, NULL for none */
  const void *residual;    /* laid out as y, of y's type; may be y */
  void *y;
  enum launch_element element, y_element, add_element;
  enum launch_activation activation; /* before the residual; LAUNCH_SOFT_CLAMP is refused */
  int64_t images, height, width, inputs;
  int64_t out_height, out_width, outputs;
  int kernel_height, kernel_width, stride, pad_top, pad_left;
  int64_t y_image, y_row, y_pixel; /* values from one image, row, pixel of y to the next */
};
cudaError_t launch_product(const struct launch_product *product, cudaStream_t stream);

/* Behind a library's product that could not fuse it: y = activation(y + bias) + channel_add +
 * residual, over [images, pixels, channels]; residual may be y itself only if y was not written. */
struct launch_epilogue {
  const void *x; /* the product; may be y */
  void *y;
  const float *bias;
  const void *channel_add, *residual;
  enum launch_element x_element, element, add_element; /* element: of y and residual */
  enum launch_activation activation;                   /* LAUNCH_SOFT_CLAMP is refused */
  int64_t images, pixels;
  int channels;
};
cudaError_t launch_epilogue(const struct launch_epilogue *epilogue, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
