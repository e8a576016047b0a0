/* advance.h - what the engine does with one row of a plan, for one value and in double. */
#ifndef DARKROOM_TESTS_SAMPLER_ADVANCE_H
#define DARKROOM_TESTS_SAMPLER_ADVANCE_H

#include <string.h>

#include "worker/sampler/plan.h"

/* slots' = M (slots, output, noise) */
static inline void advance(const struct plan *plan, const struct plan_row *row, double output,
                           double noise, double slots[SAMPLE_SLOTS_MAX]) {
  int width = plan->slots + 2;
  double columns[SAMPLE_SLOTS_MAX + 2], next[SAMPLE_SLOTS_MAX] = {0};
  memcpy(columns, slots, sizeof next);
  columns[plan->slots] = output;
  columns[plan->slots + 1] = noise;
  for (int cell = 0; cell < plan->slots * width; cell++) {
    next[cell / width] += (double)row->matrix[cell] * columns[cell % width];
  }
  memcpy(slots, next, sizeof next);
}

#endif
