/* lms.c - a linear multistep method of order 4 (k-diffusion's LMS; Adams-Bashforth over uneven
 * sigmas): the slopes of four steps are joined by the polynomial through them, which is integrated
 * over the step.
 *
 * Slots 1 to 3 keep the slopes of the steps before, the latest first. A run that begins within the
 * list of steps has none yet and takes the order of the place all the same, the missing ones 0: so
 * does diffusers.
 */
#include <math.h>

#include "worker/sampler/growing.h"

enum { ORDER = 4, SLOTS = ORDER };

/* Lagrange's polynomial of node k of sigma[0], sigma[-1], ..., sigma[1 - order], at s. */
static double lagrange(const double *sigma, int order, int k, double s) {
  double product = 1.0;
  for (int j = 0; j < order; j++) {
    if (j != k) {
      product *= (s - sigma[-j]) / (sigma[-k] - sigma[-j]);
    }
  }
  return product;
}

/* Its integral from sigma[0] to sigma[1]; Gauss-Legendre with two points is exact to degree 3. */
static double weight(const double *sigma, int order, int k) {
  double middle = 0.5 * (sigma[0] + sigma[1]);
  double half = 0.5 * (sigma[1] - sigma[0]);
  double away = half / sqrt(3.0);
  return half *
         (lagrange(sigma, order, k, middle - away) + lagrange(sigma, order, k, middle + away));
}
_Static_assert(ORDER == 4, "the degree that two points are exact for");

static void fill_row(const struct plan *plan, int row, struct form slope, const double *sigma,
                     int order) {
  struct form moved = form_plus(form_of(0), form_times(weight(sigma, order, 0), slope));
  for (int k = 1; k < order; k++) {
    moved = form_plus(moved, form_times(weight(sigma, order, k), form_of(k)));
  }
  plan_set(plan, row, 0, moved);
  plan_set(plan, row, 1, slope);
  for (int slot = 2; slot < SLOTS; slot++) {
    plan_set(plan, row, slot, form_of(slot - 1));
  }
}

enum status lms_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  struct growing run;
  TRY(growing_find(request, &run));
  TRY(plan_take(arena, &run.part, 1, SLOTS, out));
  growing_begin(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    const double *sigma = &run.points.sigma[i];
    int row = i - run.part.first;
    growing_row(&out->row[row], run.points.timestep[i], sigma[0], sigma[1]);
    fill_row(out, row, growing_slope(request, sigma[0]), sigma, i + 1 < ORDER ? i + 1 : ORDER);
  }
  return OK;
}
