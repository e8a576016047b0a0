/* cpu.h - what the files of the cpu backend share: the device, the weight, threads, scratch memory.
 */
#ifndef DARKROOM_KERNELS_CPU_CPU_H
#define DARKROOM_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/library.h"

/* What our own vector code may use; oneDNN decides for itself. */
enum level { LEVEL_PLAIN, LEVEL_AVX2, LEVEL_AVX512 };

struct cpu {
  struct device head;
  enum level level;
  const struct bodies *bodies; /* the level's */
  bool direct;                 /* products of bf16 by our own loop (direct.h) */
  struct library *library;
  char *scratch; /* reused by every op; nothing in it outlives the op */
  size_t scratch_bytes;
};

static inline struct cpu *cpu_of(struct device *device) { return (struct cpu *)device; }

/* At least bytes of 64-byte aligned scratch memory, valid until the next call. NULL after fail().
 */
void *cpu_scratch(struct cpu *cpu, size_t bytes);

/* Runs items [0, count) over the device's threads, pieces of at least `grain` items each; small
 * counts stay on the caller's thread. */
void cpu_parallel(struct cpu *cpu, kernel_body body, const void *arguments, int64_t count,
                  int64_t grain);

/* Below AVX-512 oneDNN's product is a classic gemm that cuts its sums by the number of rows and
 * threads; its 1x1 convolution does not, and is as fast. */
static inline bool cpu_products_by_convolution(const struct cpu *cpu) {
  return cpu->level < LEVEL_AVX512;
}

#define CPU_FUNCTION(name, parameters) enum status cpu_##name parameters;
OPS(CPU_FUNCTION)
#undef CPU_FUNCTION
void cpu_weight_close(struct weight *weight);

#endif
