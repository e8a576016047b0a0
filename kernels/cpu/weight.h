/* weight.h - a weight's layouts. */
#ifndef DARKROOM_KERNELS_CPU_WEIGHT_H
#define DARKROOM_KERNELS_CPU_WEIGHT_H

#include "kernels/cpu/library.h"

/* Which of the weight's layouts suits the problem; packs it anew if none does. */
enum status weight_suit(struct cpu *cpu, struct cpu_weight *weight, const struct problem *problem,
                        struct packed **out);

#endif
