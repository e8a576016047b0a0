/* thread.h - what a thread of a kernel sees of its block: barriers, shared memory, copies that
 * go on while it works, atomics.
 */
#ifndef DARKROOM_EMULATION_THREAD_H
#define DARKROOM_EMULATION_THREAD_H

#include <cstring>

#include "emulation/types.h"

namespace emulation {

/* The lane and warp of the thread that runs now; block.cpp switches them and threadIdx. */
struct Place {
  uint3 thread;
  unsigned lane, warp;
};
extern const Place *here; /* NULL on the host */

enum class Vote { none, count, all, any };
/* Waits for all threads of the block. A vote over `value` is returned. */
int block_barrier(Vote vote, int value, const char *file, int line);
/* The dynamic shared memory of the block: poisoned before each block, its end guarded. */
void *dynamic_shared();
size_t dynamic_shared_bytes();

/* What cp.async does: the copy is made at the latest when the thread waits for its group, until
 * then the destination holds NaN. source_bytes < bytes: the rest is zeros. */
void async_copy(void *to, const void *from, unsigned bytes, unsigned source_bytes);
void async_commit();
void async_wait(unsigned groups_left); /* and for copies without a group when it is 0 and `all` */
void async_wait_all();

/* Ends the program: the kernel did what a GPU does not define. */
[[noreturn]] void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulation

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
static const int warpSize = 32;

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulation::block_barrier(emulation::Vote::none, 0, file, line);
}
static inline int __syncthreads_count(int value, const char *file = __builtin_FILE(),
                                      int line = __builtin_LINE()) {
  return emulation::block_barrier(emulation::Vote::count, value, file, line);
}
static inline int __syncthreads_and(int value, const char *file = __builtin_FILE(),
                                    int line = __builtin_LINE()) {
  return emulation::block_barrier(emulation::Vote::all, value, file, line);
}
static inline int __syncthreads_or(int value, const char *file = __builtin_FILE(),
                                   int line = __builtin_LINE()) {
  return emulation::block_barrier(emulation::Vote::any, value, file, line);
}

/* Threads take turns: memory is always as they left it. */
static inline void __threadfence() {}
static inline void __threadfence_block() {}
static inline void __threadfence_system() {}
static inline void __nanosleep(unsigned) {}
[[noreturn]] static inline void __trap() { emulation::refuse("a kernel called __trap"); }

/* One thread runs at a time and is switched only where it waits: plain code is atomic. */
template <typename T>
static inline T emulation_replace(T *at, T value) {
  T old = *at;
  *at = value;
  return old;
}
template <typename T>
static inline T atomicAdd(T *at, T value) {
  return emulation_replace(at, static_cast<T>(*at + value));
}
template <typename T>
static inline T atomicSub(T *at, T value) {
  return emulation_replace(at, static_cast<T>(*at - value));
}
template <typename T>
static inline T atomicMin(T *at, T value) {
  return emulation_replace(at, value < *at ? value : *at);
}
template <typename T>
static inline T atomicMax(T *at, T value) {
  return emulation_replace(at, *at < value ? value : *at);
}
template <typename T>
static inline T atomicAnd(T *at, T value) {
  return emulation_replace(at, static_cast<T>(*at & value));
}
template <typename T>
static inline T atomicOr(T *at, T value) {
  return emulation_replace(at, static_cast<T>(*at | value));
}
template <typename T>
static inline T atomicXor(T *at, T value) {
  return emulation_replace(at, static_cast<T>(*at ^ value));
}
template <typename T>
static inline T atomicExch(T *at, T value) {
  return emulation_replace(at, value);
}
template <typename T>
static inline T atomicCAS(T *at, T expected, T value) {
  return emulation_replace(at, *at == expected ? value : *at);
}
static inline unsigned atomicInc(unsigned *at, unsigned limit) {
  return emulation_replace(at, *at >= limit ? 0 : *at + 1);
}

/* Cache hints change nothing. */
template <typename T>
static inline T __ldg(const T *at) {
  return *at;
}
template <typename T>
static inline T __ldcs(const T *at) {
  return *at;
}
template <typename T>
static inline T __ldcg(const T *at) {
  return *at;
}
template <typename T>
static inline void __stcs(T *at, T value) {
  *at = value;
}
template <typename T>
static inline void __stcg(T *at, T value) {
  *at = value;
}

static inline size_t __cvta_generic_to_shared(const void *at) {
  return reinterpret_cast<size_t>(at);
}

#endif
