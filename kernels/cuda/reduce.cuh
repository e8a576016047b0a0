/* reduce.cuh - sums over lanes and blocks in an order that only the shape decides. */
#ifndef DARKROOM_KERNELS_CUDA_REDUCE_CUH
#define DARKROOM_KERNELS_CUDA_REDUCE_CUH

#include <cuda_runtime.h>

#define WARP_LANES 32
#define ALL_LANES 0xffffffffu
/* The most warps of a block of ours, and the bytes of shared memory that block_sum wants. */
#define BLOCK_WARPS_MAX 16
#define BLOCK_THREADS_MAX (BLOCK_WARPS_MAX * WARP_LANES)

/* The sum over `lanes` lanes side by side, a power of two, in each of them. Every lane adds
 * the same two numbers at a time, so all have the same bits. All lanes of the warp must call. */
static __device__ __forceinline__ float lanes_sum(float value, int lanes) {
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    value += __shfl_xor_sync(ALL_LANES, value, apart);
  }
  return value;
}

/* The sum over the block in every thread; `sums` are BLOCK_WARPS_MAX floats of shared memory,
 * free again when it returns. */
static __device__ __forceinline__ float block_sum(float value, float *sums) {
  value = lanes_sum(value, WARP_LANES);
  if (threadIdx.x % WARP_LANES == 0) {
    sums[threadIdx.x / WARP_LANES] = value;
  }
  __syncthreads();
  float sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / WARP_LANES; warp++) {
    sum += sums[warp];
  }
  __syncthreads();
  return sum;
}

/* Whether `value` is true in any thread of the block: __syncthreads_or by its plain name. */
static __device__ __forceinline__ bool block_any(bool value) {
  return __syncthreads_or(value) != 0;
}

#endif
