/* dpmpp_2m.c - DPM-Solver++(2M), Lu et al. 2022 (2211.01095) algorithm 2, midpoint form, the end at
 * sigma 0; and the same for the diffusion SDE, with fresh noise in every step.
 *
 * Slot 1 keeps the clean image predicted by the step before.
 */
#include <math.h>

#include "worker/sampler/keeping.h"

enum { SLOT_BEFORE = 1, SLOTS = 2 };

/* How far the line through the last two images is followed: h/(2 h before) with h the step in
 * lambda; not at all in the first step of a part and in the last of the run. */
static double slope(const double *sigma, bool first) {
  if (first || sigma[1] == 0.0) {
    return 0.0;
  }
  return (log(sigma[0]) - log(sigma[1])) / (2.0 * (log(sigma[-1]) - log(sigma[0])));
}

/* x' = keep x + gain (x0 + slope (x0 - x0 before)) + up noise, with q = e^-h = sigma'/sigma. The
 * ODE has keep = kept, gain = alpha' (1 - q); the SDE forgets by q once more and makes up by
 * noise. */
static void fill_row(const struct plan *plan, int row, struct form image, const double *sigma,
                     double follow) {
  double q = sigma[1] / sigma[0];
  struct level to = level_keeping(sigma[1]);
  bool noisy = plan->row[row].needs_noise;
  double keep = keeping_kept(sigma[0], sigma[1]) * (noisy ? q : 1.0);
  double gain = to.clean * (noisy ? 1.0 - q * q : 1.0 - q);
  double up = noisy ? to.noise * sqrt(1.0 - q * q) : 0.0;
  struct form ahead =
      form_plus(form_times(1.0 + follow, image), form_times(-follow, form_of(SLOT_BEFORE)));
  struct form moved = form_plus(form_times(keep, form_of(0)), form_times(gain, ahead));
  plan_set(plan, row, 0, form_plus(moved, form_times(up, form_of(COLUMN_NOISE))));
  plan_set(plan, row, SLOT_BEFORE, image);
}

static enum status fill(struct arena *arena, const struct plan_request *request, bool noisy,
                        struct plan *out) {
  struct keeping run;
  TRY(keeping_find(request, ROUNDED_OR_CUT, &run));
  TRY(plan_take(arena, &run.part, 1, SLOTS, out));
  keeping_begin(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    const double *sigma = &run.points.sigma[i];
    int row = i - run.part.first;
    keeping_row(&out->row[row], &run, i);
    out->row[row].needs_noise = noisy; /* the last counts nothing: so does diffusers */
    fill_row(out, row, image_keeping(request->levels->facts.prediction, sigma[0]), sigma,
             slope(sigma, row == 0));
  }
  return OK;
}

enum status dpmpp_2m_fill(struct arena *arena, const struct plan_request *request,
                          struct plan *out) {
  return fill(arena, request, false, out);
}

enum status dpmpp_2m_sde_fill(struct arena *arena, const struct plan_request *request,
                              struct plan *out) {
  return fill(arena, request, true, out);
}
