/* strips.h - values from one layout into another, many at a time where the source allows it. */
#ifndef DARKROOM_KERNELS_CPU_STRIPS_H
#define DARKROOM_KERNELS_CPU_STRIPS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/cpu/cpu.h"

/* Where element (a, b, c, d) lies: place[0][a] + place[1][b] + place[2][c] + place[3][d]. */
struct places {
  int rank;
  int64_t shape[TENSOR_RANK_MAX];
  int64_t *place[TENSOR_RANK_MAX];
  int64_t *memory;
};

/* Values in some layout and float type. */
struct values {
  const struct places *places;
  enum element element;
  void *data;
};

/* Moves and converts all values. False, and nothing moved, when the source does not lie as its
 * dimensions are counted, or turned as a matrix may be, or there is no memory. */
bool strips_move(const struct cpu *cpu, const struct values *from, const struct values *to);

#endif
