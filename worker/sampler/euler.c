/* euler.c - Euler's method on dx/dsigma = (x - x0)/sigma, plain and ancestral (Karras et al. 2022;
 * k-diffusion). */
#include <math.h>

#include "worker/sampler/growing.h"

/* One step along the slope, then fresh noise: x' = x + by d + up noise. */
static void fill_row(const struct plan *plan, int row, struct form slope, double by, double up) {
  struct form moved = form_plus(form_of(0), form_times(by, slope));
  plan_set(plan, row, 0, form_plus(moved, form_times(up, form_of(COLUMN_NOISE))));
}

static enum status fill(struct arena *arena, const struct plan_request *request, bool ancestral,
                        struct plan *out) {
  struct growing run;
  TRY(growing_find(request, &run));
  TRY(plan_take(arena, &run.part, 1, 1, out));
  growing_begin(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    double sigma = run.points.sigma[i];
    double to = run.points.sigma[i + 1];
    double up = ancestral ? ancestral_up(sigma, to) : 0.0;
    double down = sqrt(to * to - up * up);
    int row = i - run.part.first;
    /* also on the last row, where it counts nothing: so does diffusers */
    out->row[row].needs_noise = ancestral;
    growing_row(&out->row[row], run.points.timestep[i], sigma, to);
    fill_row(out, row, growing_slope(request, sigma), down - sigma, up);
  }
  return OK;
}

enum status euler_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  return fill(arena, request, false, out);
}

enum status euler_a_fill(struct arena *arena, const struct plan_request *request,
                         struct plan *out) {
  return fill(arena, request, true, out);
}
