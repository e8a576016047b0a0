/* budget.c - a sum that never passes its maximum. */
#include "worker/engine/budget.h"

#include <assert.h>
#include <stdint.h>

enum status budget_take(struct budget *budget, size_t bytes) {
  if (bytes > budget->max - budget->used) {
    return fail(EXHAUSTED, "%zu bytes wanted, %zu of %zu are taken", bytes, budget->used,
                budget->max);
  }
  budget->used += bytes;
  return OK;
}

void budget_give(struct budget *budget, size_t bytes) {
  assert(bytes <= budget->used);
  budget->used -= bytes;
}

size_t budget_sum(size_t a, size_t b) { return b > SIZE_MAX - a ? SIZE_MAX : a + b; }
