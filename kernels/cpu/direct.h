/* direct.h - products and convolutions of bf16 by our own loop (bodies/direct.c), where a processor
 * has AVX-512 with bf16 and no tiles (AMX).
 *
 * Beside oneDNN: nothing is made or tried per shape, rows of a batch are apart by nature, what is
 * added is read where it lies, and pixels may be written anywhere.
 */
#ifndef DARKROOM_KERNELS_CPU_DIRECT_H
#define DARKROOM_KERNELS_CPU_DIRECT_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/panels.h"

/* Whether a weight is one for the own loop: on this processor, whole panels of outputs, an even
 * number of inputs, not too deep. It then never goes to oneDNN. */
bool direct_takes(const struct cpu *cpu, const struct weight *head);

/* Fills weight->panels from a checkpoint's kernel. EXHAUSTED. */
enum status direct_pack(struct cpu *cpu, const struct weight_source *source,
                        struct cpu_weight *weight);

/* y = w(x), as `call` says: x, y, steps of y, geometry, what is added. Weight, bias, zeros and the
 * cut into items are filled in here. EXHAUSTED. */
enum status direct_run(struct cpu *cpu, struct cpu_weight *weight, int64_t batch,
                       struct direct *call);

#endif
