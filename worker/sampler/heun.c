/* heun.c - Heun's method: Karras et al. 2022, algorithm 1. A step goes to its end by Euler, looks
 * there again and goes from its beginning by the mean of both slopes; the last is Euler's alone.
 *
 * Slot 1 keeps the sample at the step's beginning, slot 2 the slope there.
 */
#include <math.h>

#include "worker/sampler/growing.h"

enum { SLOT_BEFORE = 1, SLOT_SLOPE = 2, SLOTS = 3 };

static void first_half(const struct plan *plan, int row, struct form slope, double by) {
  plan_set(plan, row, 0, form_plus(form_of(0), form_times(by, slope)));
  plan_set(plan, row, SLOT_BEFORE, form_of(0));
  plan_set(plan, row, SLOT_SLOPE, slope);
}

/* Slots 1 and 2 are left 0. */
static void second_half(const struct plan *plan, int row, struct form slope, double by) {
  struct form both = form_plus(form_of(SLOT_SLOPE), slope);
  plan_set(plan, row, 0, form_plus(form_of(SLOT_BEFORE), form_times(0.5 * by, both)));
}

enum status heun_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  struct growing run;
  TRY(points_growing(request, &run.points));
  TRY(growing_find_pairs(request, &run.points.timestep[1], &run));
  TRY(plan_take(arena, &run.part, 2, SLOTS, out));
  growing_begin_pairs(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    const double *sigma = &run.points.sigma[i / 2];
    bool second = i % 2 == 1;
    double at = second ? sigma[1] : sigma[0];
    int row = i - run.part.first;
    growing_row(&out->row[row], run.points.timestep[i / 2 + second], at, sigma[1]);
    (second ? second_half : first_half)(out, row, growing_slope(request, at), sigma[1] - sigma[0]);
  }
  return OK;
}
