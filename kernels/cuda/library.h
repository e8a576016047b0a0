/* library.h - matrix products, convolutions and attention by NVIDIA's libraries (cuBLASLt, cuDNN
 * 9), behind plain C. They are found when the first device is opened, not when the program
 * starts.
 *
 * A problem says everything that decides the bits of one image; the number of images is not part
 * of it. With DETERMINISM_STRICT one algorithm is chosen per problem and used for every number
 * of images, without split-K or stream-K. UNAVAILABLE means that the library does not serve a
 * problem: our own kernel takes it (launch.h). Work is queued on the stream.
 */
#ifndef DARKROOM_KERNELS_CUDA_LIBRARY_H
#define DARKROOM_KERNELS_CUDA_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

#include "base/status.h"
#include "kernels/device.h"
#include "kernels/ops.h"

struct library;

/* Loads the libraries and opens handles on the current device. UNAVAILABLE with one line that names
 * what was not found and where it was looked for. versions: text for device_info.runtime. */
enum status library_open(enum determinism determinism, struct library **out);
void library_close(struct library **library);
const char *library_versions(const struct library *library);

/* What was decided about problems is kept, a tenth of a megabyte for a problem and a number of
 * images. Whether it has become so much that it should be forgotten before new shapes come: then
 * nothing queued or captured may use it any more. It is decided anew, and alike, when it is asked
 * for. */
bool library_is_full(const struct library *library);
void library_forget(struct library *library);

/* Memory on the device for whatever an algorithm wants beside its operands; one per stream,
 * given by the backend, of the same number of bytes for all. Algorithms that want more are not
 * chosen. */
struct library_workspace {
  void *data;
  size_t bytes;
};

/* y[images * rows, outputs] = activation(x[images * rows, inputs] w^T + bias) + residual. */
struct product_problem {
  enum element element, y_element;
  enum activation activation;
  int has_bias, has_residual;
  int64_t rows, inputs, outputs; /* rows of one image */
};
/* A bias is given twice: as it is, and rounded to y_element, which is what a library can add within
 * the product (cuBLASLt takes no other type). */
struct product_run {
  const void *x, *w;
  const float *bias;
  const void *bias_as_y;
  const void *residual; /* of y_element; may be y */
  void *y;
  int64_t images;
};
enum status library_product(struct library *library, const struct product_problem *problem,
                            const struct product_run *run, struct library_workspace workspace,
                            cudaStream_t stream);

/* y = conv(x, w) + bias + channel_add + residual, NHWC; w [outputs, kh, kw, inputs]. */
struct convolution_problem {
  enum element element, y_element;
  int has_bias, has_channel_add, has_residual;
  int64_t height, width, inputs;
  int64_t out_height, out_width, outputs;
  int kernel_height, kernel_width, stride;
  int pad_top, pad_left, pad_bottom, pad_right;
  int64_t y_row, y_pixel; /* values from one row and pixel of y to the next: outputs * out_width and
                             outputs, or twice as far apart for one parity of a doubled picture */
};
struct convolution_run {
  const void *x, *w;
  const float *bias;
  const void *bias_as_y;   /* as in struct product_run */
  const void *channel_add; /* [images, outputs], of the type `element` */
  const void *residual;    /* laid out as y; may be y */
  void *y;
  int64_t images;
};
enum status library_convolution(struct library *library, const struct convolution_problem *problem,
                                const struct convolution_run *run,
                                struct library_workspace workspace, cudaStream_t stream);

/* Self attention over columns of a fused product; steps in values, as struct launch_attention. */
struct attention_problem {
  enum element element;
  int64_t tokens, keys;
  int heads, depth, causal;
  int64_t q_token, k_token, v_token, y_token;
  int64_t q_image, k_image, v_image, y_image;
};
struct attention_run {
  const void *q, *k, *v;
  void *y;
  int64_t images;
};
enum status library_attention(struct library *library, const struct attention_problem *problem,
                              const struct attention_run *run, struct library_workspace workspace,
                              cudaStream_t stream);

#endif
