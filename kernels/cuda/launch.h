/* launch.h - our own kernels as plain C functions: what the .cu files give to the C files.
 *
 * Each queues its kernels on the stream and returns the launch's error. Pointers are the device's
 * but for the argument struct itself, which is read during the call. No launch depends on the
 * number of images for the bits of any of them. Types are those of activations: f32, f16 or bf16
 * (enum element); sums are f32. Formulas are those of kernels/ops.h.
 *
 * Tensors begin at any value of theirs. Those that begin at multiples of 16 bytes, as all do that
 * device_take gives, go by quicker ways, and a norm's last bits may depend on that.
 */
#ifndef DARKROOM_KERNELS_CUDA_LAUNCH_H
#define DARKROOM_KERNELS_CUDA_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

#include "kernels/cuda/launch_products.h"
#include "kernels/cuda/launch_rows.h"
#include "kernels/cuda/launch_types.h"
#include "kernels/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- norms ---- */

struct launch_norm {
  const void *x;
  void *y; /* may be x */
  const float *gamma, *beta;
  float *scratch; /* launch_norm_scratch bytes; group norm only */
  enum launch_element element;
  int64_t images, pixels; /* layer norm: images * pixels rows */
  int channels, groups;
  float epsilon;
  int silu;
};
size_t launch_norm_scratch(const struct launch_norm *norm);
cudaError_t launch_group_norm(const struct launch_norm *norm, cudaStream_t stream);
cudaError_t launch_layer_norm(const struct launch_norm *norm, cudaStream_t stream);

/* ---- values ---- */

/* y[rows, width] = x[:, :width] * gelu(x[:, width:]). */
struct launch_geglu {
  const void *x;
  void *y;
  enum launch_element element;
  int64_t rows;
  int width;
};
cudaError_t launch_geglu(const struct launch_geglu *geglu, cudaStream_t stream);

/* ---- moving ---- */

/* Rows of `left` and `right` bytes side by side. */
struct launch_concat {
  const void *a, *b;
  void *y;
  int64_t rows, left, right;
};
cudaError_t launch_concat(const struct launch_concat *concat, cudaStream_t stream);

/* Nearest neighbour; `pixel` bytes a pixel. */
struct launch_upsample {
  const void *x;
  void *y;
  int64_t images, height, width, out_height, out_width, pixel;
};
cudaError_t launch_upsample(const struct launch_upsample *upsample, cudaStream_t stream);

struct launch_timesteps {
  const struct batch_row *rows;
  void *y; /* [count, width] */
  enum launch_element element;
  int count, width;
};
cudaError_t launch_timesteps(const struct launch_timesteps *timesteps, cudaStream_t stream);

struct launch_embed {
  const void *table, *extra, *positions; /* extra: words from `words` on */
  const int32_t *ids;
  void *y; /* [rows, tokens, width] */
  enum launch_element element;
  int64_t rows, tokens, width, words;
};
cudaError_t launch_embed(const struct launch_embed *embed, cudaStream_t stream);

/* [outputs, inputs, kernel] of one type -> [outputs, kernel, inputs] of another; kernel = kh * kw.
 * doubled: kernel is 9 and y holds the four sums [4, outputs, 2 * 2, inputs], parity 0,0 first. */
struct launch_pack {
  const void *x;
  void *y;
  enum launch_element from, to;
  int64_t outputs, inputs;
  int kernel, doubled;
};
cudaError_t launch_pack(const struct launch_pack *pack, cudaStream_t stream);

/* ---- latents and pixels ---- */

struct launch_gather {
  const struct batch_row *rows;
  void *y; /* [images, pixels, channels + planes] */
  enum launch_element element;
  int64_t images, pixels;
  int channels, planes;
};
cudaError_t launch_gather(const struct launch_gather *gather, cudaStream_t stream);

struct launch_advance {
  const struct batch_sample *samples;
  const float *prediction;
  int32_t *finite; /* [count] */
  float *shares;   /* [count] of scratch */
  int count;
  int64_t values;
  int channels;
};
cudaError_t launch_advance(const struct launch_advance *advance, cudaStream_t stream);

struct launch_pixels {
  const void *x;
  uint8_t *y;
  enum launch_element element;
  int64_t values;
};
cudaError_t launch_pixels(const struct launch_pixels *pixels, cudaStream_t stream);

struct launch_finite {
  const void *x;
  int32_t *finite;
  enum launch_element element;
  int64_t images, values;
};
cudaError_t launch_finite(const struct launch_finite *finite, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
