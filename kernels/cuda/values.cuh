/* values.cuh - activations as memory holds them and as registers do: one by one in f32, or packed
 * in pairs and eights. */
#ifndef DARKROOM_KERNELS_CUDA_VALUES_CUH
#define DARKROOM_KERNELS_CUDA_VALUES_CUH

#include <stdint.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

/* To f32 exactly; from f32 to the nearest, ties to even. */
__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T>
__device__ __forceinline__ T narrow(float value);
template <>
__device__ __forceinline__ float narrow<float>(float value) {
  return value;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ __forceinline__ __nv_bfloat16 narrow<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

/* Two 16-bit values in a register, the first in the lower half. */
template <class T>
__device__ __forceinline__ uint32_t pack_pair(float first, float second);
template <>
__device__ __forceinline__ uint32_t pack_pair<__half>(float first, float second) {
  const __half2 pair = __floats2half2_rn(first, second);
  uint32_t bits;
  __builtin_memcpy(&bits, &pair, sizeof bits);
  return bits;
}
template <>
__device__ __forceinline__ uint32_t pack_pair<__nv_bfloat16>(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  uint32_t bits;
  __builtin_memcpy(&bits, &pair, sizeof bits);
  return bits;
}

/* Eight values from and to an address that is a multiple of 16. */
template <class T>
__device__ __forceinline__ void read_eight(const T *from, float (&to)[8]) {
  const uint4 bits = *reinterpret_cast<const uint4 *>(from);
  T values[8];
  __builtin_memcpy(values, &bits, sizeof bits);
#pragma unroll
  for (int i = 0; i < 8; i++) {
    to[i] = widen(values[i]);
  }
}
template <>
__device__ __forceinline__ void read_eight<float>(const float *from, float (&to)[8]) {
  const float4 low = reinterpret_cast<const float4 *>(from)[0];
  const float4 high = reinterpret_cast<const float4 *>(from)[1];
  __builtin_memcpy(to, &low, sizeof low);
  __builtin_memcpy(to + 4, &high, sizeof high);
}

template <class T>
__device__ __forceinline__ void write_eight(const float (&from)[8], T *to) {
  *reinterpret_cast<uint4 *>(to) =
      make_uint4(pack_pair<T>(from[0], from[1]), pack_pair<T>(from[2], from[3]),
                 pack_pair<T>(from[4], from[5]), pack_pair<T>(from[6], from[7]));
}
template <>
__device__ __forceinline__ void write_eight<float>(const float (&from)[8], float *to) {
  reinterpret_cast<float4 *>(to)[0] = make_float4(from[0], from[1], from[2], from[3]);
  reinterpret_cast<float4 *>(to)[1] = make_float4(from[4], from[5], from[6], from[7]);
}

/* The first `count` (up to eight) of values from and to any address; the others are 0. */
template <class T>
__device__ __forceinline__ void read_some(const T *from, int count, float (&to)[8]) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    to[i] = i < count ? widen(from[i]) : 0;
  }
}
template <class T>
__device__ __forceinline__ void write_some(const float (&from)[8], int count, T *to) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    if (i < count) {
      to[i] = narrow<T>(from[i]);
    }
  }
}

#endif
