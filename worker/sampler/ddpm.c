/* ddpm.c - Ho et al. 2020, equation 7, over fewer timesteps: the mean of the posterior and its
 * variance ("fixed_small"). A step goes to the next timestep of the list. */
#include <math.h>

#include "worker/sampler/listed.h"

#define VARIANCE_MIN 1e-20 /* diffusers' */

static void fill_row(const struct plan *plan, int row, struct form image, double a, double to) {
  double beta = 1.0 - a / to;
  struct form mean = form_plus(form_times(sqrt(to) * beta / (1.0 - a), image),
                               form_times(sqrt(a / to) * (1.0 - to) / (1.0 - a), form_of(0)));
  double variance =
      plan->row[row].needs_noise ? fmax((1.0 - to) / (1.0 - a) * beta, VARIANCE_MIN) : 0.0;
  plan_set(plan, row, 0, form_plus(mean, form_times(sqrt(variance), form_of(COLUMN_NOISE))));
}

enum status ddpm_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  const struct noise_levels *levels = request->levels;
  struct listed run;
  TRY(listed_find(request, &run));
  TRY(listed_begin(arena, request, &run, 1, out));
  for (int i = run.part.first; i < run.part.last; i++) {
    int row = i - run.part.first;
    out->row[row].needs_noise = out->row[row].timestep > 0.0f;
    fill_row(out, row, listed_predicted(levels, &run, i).image, listed_alpha_bar(levels, &run, i),
             listed_alpha_bar(levels, &run, i + 1));
  }
  return OK;
}
