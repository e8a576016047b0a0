/* fill.c - rows to fill in, and the algebra that every sampler needs for it. */
#include "worker/sampler/fill.h"

#include <assert.h>
#include <math.h>

enum status plan_take(struct arena *arena, int steps, int slots, struct plan *out) {
  assert(slots >= 1 && slots <= SAMPLE_SLOTS_MAX);
  struct plan_row *rows = arena_take_zeroed(arena, (size_t)steps * sizeof *rows);
  if (rows == NULL) {
    return EXHAUSTED;
  }
  *out = (struct plan){
      .rows = steps, .slots = slots, .steps = steps, .start_scale = 1.0f, .row = rows};
  for (int i = 0; i < steps; i++) {
    rows[i].input_scale = 1.0f;
    rows[i].step = i;
  }
  return OK;
}

float *plan_cell(const struct plan *plan, int row, int slot, int column) {
  assert(row < plan->rows && slot < plan->slots && column < plan->slots + 2);
  return &plan->row[row].matrix[slot * (plan->slots + 2) + column];
}

/* With s = scale, x = s (x0 + sigma e) and v = (e - sigma x0) / sqrt(sigma^2 + 1) (Salimans & Ho
 * 2022). */
struct linear predicted_image(enum prediction prediction, double scale, double sigma) {
  double total = sigma * sigma + 1.0;
  switch (prediction) {
    case PREDICTION_EPSILON:
      return (struct linear){1.0 / scale, -sigma};
    case PREDICTION_V:
      return (struct linear){1.0 / (scale * total), -sigma / sqrt(total)};
    case PREDICTION_SAMPLE:
      break;
  }
  return (struct linear){0.0, 1.0};
}
