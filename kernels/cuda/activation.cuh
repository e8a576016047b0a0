/* activation.cuh - SiLU, the gelus and the like (kernels/ops.h), as exactly as the type T that they
 * are rounded to can tell.
 *
 * Results of 16 bits take the fast exponential and quotient (CUDA C++ Programming Guide,
 * "Intrinsic Functions": together within some 2^-18 where the result is not next to 0), f32 the
 * full ones.
 */
#ifndef DARKROOM_KERNELS_CUDA_ACTIVATION_CUH
#define DARKROOM_KERNELS_CUDA_ACTIVATION_CUH

#include "kernels/cuda/launch.h"

/* x / (1 + exp(-scale x)). Below -87 the exponential is infinite and the result -0; -infinity
 * and NaN give NaN, as x s(x) does. */
template <class T>
__device__ __forceinline__ float times_sigmoid(float x, float scale) {
  return __fdividef(x, 1.0f + __expf(-scale * x));
}
template <>
__device__ __forceinline__ float times_sigmoid<float>(float x, float scale) {
  return x / (1.0f + expf(-scale * x));
}

static __device__ __forceinline__ float gelu(float x) {
  return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
}

template <class T>
__device__ __forceinline__ float activated(float x, enum launch_activation activation) {
  if (activation == LAUNCH_SILU) {
    return times_sigmoid<T>(x, 1);
  }
  if (activation == LAUNCH_GELU) {
    return gelu(x);
  }
  if (activation == LAUNCH_RELU) {
    return x < 0 ? 0 : x;
  }
  return activation == LAUNCH_QUICK_GELU ? times_sigmoid<T>(x, 1.702f) : x;
}

/* What op_activate has beside those, too large to stand behind every product. */
template <class T>
__device__ __forceinline__ float activated_alone(float x, enum launch_activation activation) {
  return activation == LAUNCH_SOFT_CLAMP ? 3 * tanhf(x / 3) : activated<T>(x, activation);
}

#endif
