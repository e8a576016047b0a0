/* budget.h - bytes promised against a maximum: memory for samples, conditionings and scratch, all
 * on one device. */
#ifndef DARKROOM_WORKER_ENGINE_BUDGET_H
#define DARKROOM_WORKER_ENGINE_BUDGET_H

#include <stddef.h>

#include "base/status.h"

struct budget {
  size_t max;
  size_t used;
};

/* EXHAUSTED when it would be more than the maximum: nothing is taken then. */
enum status budget_take(struct budget *budget, size_t bytes);
void budget_give(struct budget *budget, size_t bytes);

/* a + b, SIZE_MAX where that is more than there can be. */
size_t budget_sum(size_t a, size_t b);

#endif
