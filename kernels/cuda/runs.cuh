/* runs.cuh - values side by side that one instruction moves: loaded as memory holds them, so that
 * several loads are under way before the first value is looked at, and computed with in f32.
 */
#ifndef DARKROOM_KERNELS_CUDA_RUNS_CUH
#define DARKROOM_KERNELS_CUDA_RUNS_CUH

#include "kernels/cuda/launch.h"
#include "kernels/cuda/values.cuh"

/* The most values of a run: 16 bytes of the 16-bit types, two times 16 of f32. */
#define RUN_VALUES_MAX 8
/* The most that one instruction moves. */
#define RUN_BYTES_MAX 16

constexpr size_t run_alignment(size_t bytes) {
  return bytes < RUN_BYTES_MAX ? bytes : RUN_BYTES_MAX;
}

/* N values, N a power of two: aligned so that the compiler moves them at once. */
template <class T, int N>
struct alignas(run_alignment(N * sizeof(T))) run {
  T value[N];
};

template <class T, int N>
__device__ __forceinline__ run<T, N> load_run(const T *from) {
  return *reinterpret_cast<const run<T, N> *>(from);
}

/* Value i of the run, i known to the compiler. A bf16 is the upper half of its f32: taken out
 * of the word that two of them share, which stays as it is in its register. */
template <class T, int N>
__device__ __forceinline__ float value_of(const run<T, N> &from, int i) {
  return widen(from.value[i]);
}
template <int N>
__device__ __forceinline__ float value_of(const run<__nv_bfloat16, N> &from, int i) {
  if constexpr (N % 2 == 0) {
    uint32_t words[N / 2];
    __builtin_memcpy(words, &from, sizeof words);
    return __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xffff0000u);
  } else {
    return widen(from.value[i]);
  }
}

template <class T, int N>
__device__ __forceinline__ void widen_run(const run<T, N> &from, float (&to)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    to[i] = value_of(from, i);
  }
}

template <class T, int N>
__device__ __forceinline__ void load_values(const T *from, float (&to)[N]) {
  widen_run(load_run<T, N>(from), to);
}

/* Pairs are rounded together: one instruction for two values. */
template <class T, int N>
__device__ __forceinline__ void store_values(const float (&from)[N], T *to) {
  run<T, N> rounded;
  if constexpr (sizeof(T) == 2 && N % 2 == 0) {
    uint32_t pairs[N / 2];
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
      pairs[i] = pack_pair<T>(from[2 * i], from[2 * i + 1]);
    }
    __builtin_memcpy(&rounded, pairs, sizeof rounded);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) {
      rounded.value[i] = narrow<T>(from[i]);
    }
  }
  *reinterpret_cast<run<T, N> *>(to) = rounded;
}

/* ---- on the host ---- */

static inline bool is_aligned(const void *at) {
  return reinterpret_cast<uintptr_t>(at) % RUN_BYTES_MAX == 0;
}

/* The longest run, as a power of two (0..3), in whose steps lines of `count` values of
 * `bytes` each can be walked from `at`, the bitwise or of all addresses. Where a tensor
 * begins as it should, only the count decides, and what lies any number of lines behind
 * begins as it should. */
static inline int run_power(int64_t count, size_t bytes, uintptr_t at) {
  int power = 0;
  while (power < 3 && count % (int64_t{2} << power) == 0 &&
         at % run_alignment(bytes << (power + 1)) == 0) {
    power++;
  }
  return power;
}

/* Whether lines of `count` values can be walked in the longest runs. */
static inline bool in_eights(int64_t count, bool aligned) {
  return aligned && count % RUN_VALUES_MAX == 0;
}

#endif
