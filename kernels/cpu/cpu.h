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

/* The parts of a problem that follow from the weight (matmul.c, conv.c). */
struct problem matmul_problem(const struct cpu *cpu, const struct weight *w, int64_t rows,
                              bool has_bias);
struct problem conv_problem(const struct weight *w, bool has_bias);

#define CPU_FUNCTION(name, parameters) enum status cpu_##name parameters;
OPS(CPU_FUNCTION)
#undef CPU_FUNCTION
void cpu_weight_close(struct weight *weight);

#endif
