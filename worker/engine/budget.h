/* budget.h - bytes promised against a maximum: memory for samples, conditionings and scratch, all
 * on one device. */
#ifndef DARKROOM_WORKER_ENGINE_BUDGET_H
#define DARKROOM_WORKER_ENGINE_BUDGET_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct budget {
  size_t max;
  size_t used;
};

/* a + b, SIZE_MAX where that is more than there can be. */
static inline size_t budget_sum(size_t a, size_t b) { return b > SIZE_MAX - a ? SIZE_MAX : a + b; }

static inline enum status budget_take(struct budget *budget, size_t bytes) {
  if (bytes > budget->max - budget->used) {
    return fail(EXHAUSTED, "%zu bytes wanted, %zu of %zu are taken", bytes, budget->used,
                budget->max);
  }
  budget->used += bytes;
  return OK;
}

static inline void budget_give(struct budget *budget, size_t bytes) {
  assert(bytes <= budget->used);
  budget->used -= bytes;
}

#endif
