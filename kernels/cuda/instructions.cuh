/* instructions.cuh - the instructions that CUDA C++ has no word for: the one place with inline PTX
 * (PTX ISA 8.0, chapters "Warp Level Matrix Instructions" and "Asynchronous copy"; sm_80 and
 * newer).
 *
 * "Lane" is a thread's place in its warp, 0..31. What is said to be done by the warp must be called
 * by all its 32 threads together. The names are the whole interface: a build that does not run on a
 * GPU answers them with a file of the same name that its include path finds first.
 */
#ifndef DARKROOM_KERNELS_CUDA_INSTRUCTIONS_CUH
#define DARKROOM_KERNELS_CUDA_INSTRUCTIONS_CUH

#include <stdint.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

/* The block's dynamic shared memory, as many bytes as its launch asked for; 16-byte aligned. */
template <class T>
__device__ __forceinline__ T *dynamic_shared() {
  extern __shared__ __align__(128) unsigned char block_dynamic_shared[];
  return reinterpret_cast<T *>(block_dynamic_shared);
}

__device__ __forceinline__ uint32_t shared_address(const void *shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

/* 2^x by the unit for it: within 2 units in the last place, results below 2^-126 become 0. */
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/* ---- small matrices from shared memory to registers, by the warp ---- */

/* Four 8x8 matrices of 16-bit values. Lane 8 i + r gives the address of row r of matrix i (16
 * bytes, aligned); lane l gets of matrix i the values 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 in
 * to[i]. */
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

/* The same of the transposed matrices: lane l gets of matrix i column l / 4, rows 2 (l % 4) and
 * 2 (l % 4) + 1. */
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&to)[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

/* ---- sum[16, 8] += a[16, 16] b[16, 8], by the warp; f32 sums of T's products ----
 *
 * With g = lane / 4 and t = lane % 4 a lane holds two values in a register, the lower half first:
 * a[0]: row g, columns 2t, 2t+1; a[1]: row g+8; a[2]: row g, columns 2t+8, 2t+9; a[3]: row g+8 of
 * these. b[0]: rows 2t, 2t+1 of column g; b[1]: rows 2t+8, 2t+9. sum[0], sum[1]: row g, columns 2t,
 * 2t+1; sum[2], sum[3]: row g+8. So load_matrices gives a from rows of a, and b from columns of b.
 */
template <class T>
__device__ __forceinline__ void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1);

template <>
__device__ __forceinline__ void multiply_add<__half>(float (&sum)[4], const uint32_t (&a)[4],
                                                     uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ __forceinline__ void multiply_add<__nv_bfloat16>(float (&sum)[4], const uint32_t (&a)[4],
                                                            uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* ---- copies from device memory to shared memory, behind the thread's back ---- */

/* Starts a copy of BYTES (4, 8 or 16, both sides aligned to them); zeros instead if not `wanted`,
 * and then nothing is read. 16 bytes pass by the first cache. Seen by this thread after copy_wait,
 * by others after a barrier behind that. */
template <int BYTES>
__device__ __forceinline__ void copy_start(void *shared, const void *from, bool wanted) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "what cp.async can");
  const int bytes = wanted ? BYTES : 0;
  if constexpr (BYTES == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)),
                 "l"(__cvta_generic_to_global(from)), "n"(BYTES), "r"(bytes)
                 : "memory");
  }
}

/* Closes the group of the copies that this thread has started; a group may be empty. */
__device__ __forceinline__ void copy_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most the NEWER newest groups of this thread may still be under way. */
template <int NEWER>
__device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(NEWER) : "memory");
}

#endif
