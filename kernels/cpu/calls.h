/* calls.h - products and convolutions of any batch, for the ops. */
#ifndef DARKROOM_KERNELS_CPU_CALLS_H
#define DARKROOM_KERNELS_CPU_CALLS_H

#include "kernels/cpu/library.h"

/* y[b] = problem(x[b]) for b in [0, batch), with the same bits for a row whatever the batch. Small
 * rows go together, a row that is much work is cut into bands (bands.h). */
enum status call_library(struct cpu *cpu, const struct library_run *run, int64_t batch);

#endif
