/* launch_rows.h - our own kernels for what rows bring along, and behind the encoders. Rules and
 * words are those of launch.h, by which this is included. */
#ifndef DARKROOM_KERNELS_CUDA_LAUNCH_ROWS_H
#define DARKROOM_KERNELS_CUDA_LAUNCH_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

#include "kernels/cuda/launch_types.h"
#include "kernels/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[row, token, module * outputs ..] += up (down x[row, token]). */
struct launch_adapt {
  const struct batch_row *rows;
  const void *x; /* [images, tokens, inputs], as the adapters */
  void *y;       /* [images, tokens, modules * outputs] */
  enum launch_element element, y_element;
  int64_t images, tokens, inputs, outputs;
  int first, modules;
};
cudaError_t launch_adapt(const struct launch_adapt *adapt, cudaStream_t stream);

struct launch_activate {
  const void *x;
  void *y;
  enum launch_element element;
  enum launch_activation activation;
  int64_t values;
};
cudaError_t launch_activate(const struct launch_activate *activate, cudaStream_t stream);

/* y = silu(x + added[first..]), [images, width] */
struct launch_add_rows {
  const struct batch_row *rows;
  const void *x;
  void *y;
  enum launch_element element;
  int64_t images, width, first;
};
cudaError_t launch_add_rows(const struct launch_add_rows *add, cudaStream_t stream);

/* y += scale[skip] * x, or y += hint where x is NULL; [images, values] */
struct launch_control {
  const struct batch_control *controls;
  const void *x;
  void *y;
  enum launch_element element;
  int64_t images, values;
  int skip;
};
cudaError_t launch_control(const struct launch_control *control, cudaStream_t stream);

struct launch_weigh {
  const float *weights;
  void *x; /* [tokens, width] */
  enum launch_element element;
  int64_t tokens, width;
};
cudaError_t launch_weigh(const struct launch_weigh *weigh, cudaStream_t stream);

struct launch_posterior {
  const void *moments; /* [pixels, 2 channels] */
  const float *noise;  /* NULL: none */
  float *y;
  enum launch_element element; /* of moments */
  int64_t pixels;
  int channels;
  float scale;
};
cudaError_t launch_posterior(const struct launch_posterior *posterior, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
