/* norm.cuh - what the norms have in common: from sums to a scale, and the last step.
 *
 * Sums are f32, so they are taken of what is left when a value of the group itself is
 * subtracted: no digits are lost where the mean is large, and a flat group has a mean that is
 * exactly its value, no variance, and gives exactly its shift. The variance is a sum of squares
 * about that mean.
 */
#ifndef DARKROOM_KERNELS_CUDA_NORM_CUH
#define DARKROOM_KERNELS_CUDA_NORM_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/runs.cuh"

static __device__ __forceinline__ float norm_scale(float squares, float count, float epsilon) {
  return 1.0f / sqrtf(squares / count + epsilon);
}

/* What becomes of a channel's values. */
struct channel_norm {
  float mean, scale, shift;
};

static __device__ __forceinline__ struct channel_norm channel_norm_of(
    const struct launch_norm &norm, int channel, float mean, float scale) {
  return {mean, scale * norm.gamma[channel], norm.beta[channel]};
}

template <class T>
__device__ __forceinline__ float normalised(float value, const struct channel_norm &to, bool silu) {
  const float y = fmaf(value - to.mean, to.scale, to.shift);
  return silu ? times_sigmoid<T>(y, 1) : y;
}

/* ---- on the host ---- */

static inline size_t norm_value_bytes(const struct launch_norm *norm) {
  return norm->element == LAUNCH_F32 ? sizeof(float) : sizeof(__half);
}

/* The longest run for lines of `count` values of x and y, as a power of two. */
static inline int norm_run_power(const struct launch_norm *norm, int64_t count) {
  return run_power(count, norm_value_bytes(norm),
                   reinterpret_cast<uintptr_t>(norm->x) | reinterpret_cast<uintptr_t>(norm->y));
}

/* ---- norm_whole.cu: a block for each group of each image, whatever the shape ---- */

/* Whether a block can keep the values of a group. */
bool norm_fits_block(const struct launch_norm *norm);
cudaError_t start_norm_whole(const struct launch_norm *norm, cudaStream_t stream);

/* ---- norm_parts.cu: groups in parts, for as many channels as a block has columns ---- */

bool norm_has_parts(const struct launch_norm *norm);
/* Enough for any alignment of the tensors. */
size_t norm_parts_scratch(const struct launch_norm *norm);
cudaError_t start_norm_parts(const struct launch_norm *norm, cudaStream_t stream);

#endif
