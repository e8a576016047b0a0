/* cpu.c - what every op here stands on: scratch memory and the device's threads. */
#include "kernels/cpu/cpu.h"

#include "base/progress.h"
#include "kernels/cpu/openmp.h"

/* So that a thread whose core is busy elsewhere holds up the others less. */
enum { PIECES_PER_THREAD = 4 };

void *cpu_scratch(struct cpu *cpu, size_t bytes) {
  if (bytes > cpu->scratch_bytes || cpu->scratch == NULL) {
    device_drop(&cpu->head, cpu->scratch, cpu->scratch_bytes);
    cpu->scratch_bytes = 0;
    size_t rounded =
        (bytes + 0xffff) / 0x10000 * 0x10000; /* a little more, so that it soon stops growing */
    rounded = rounded == 0 ? 0x10000 : rounded;
    cpu->scratch = device_take(&cpu->head, rounded);
    cpu->scratch_bytes = cpu->scratch != NULL ? rounded : 0;
  }
  return cpu->scratch;
}

void cpu_parallel(struct cpu *cpu, kernel_body body, const void *arguments, int64_t count,
                  int64_t grain) {
  int64_t pieces = (count + grain - 1) / grain;
  if (pieces > cpu->head.threads * PIECES_PER_THREAD) {
    pieces = cpu->head.threads * PIECES_PER_THREAD;
  }
  if (pieces <= 1) {
    body(arguments, 0, count);
    return;
  }
#pragma omp parallel for num_threads(cpu->head.threads) schedule(dynamic)
  for (int64_t i = 0; i < pieces; i++) {
    body(arguments, count * i / pieces, count * (i + 1) / pieces);
    progress_count();
  }
}
