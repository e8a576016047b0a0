/* ddim.c - Song et al. 2020, equation 12: x' = sqrt(a') x0 + sqrt(1 - a' - s^2) e + s noise, with
 * s = eta sqrt((1 - a')/(1 - a)) sqrt(1 - a/a'). A step goes T/steps timesteps down, wherever the
 * next one looks. */
#include <math.h>

#include "worker/sampler/listed.h"

static void fill_row(const struct plan *plan, int row, const struct predicted *at, double to,
                     double up) {
  double direct = sqrt(fmax(1.0 - to - up * up, 0.0));
  struct form moved = form_plus(form_times(sqrt(to), at->image), form_times(direct, at->noise));
  plan_set(plan, row, 0, form_plus(moved, form_times(up, form_of(COLUMN_NOISE))));
}

enum status ddim_fill(struct arena *arena, const struct plan_request *request, struct plan *out) {
  const struct noise_levels *levels = request->levels;
  struct listed run;
  TRY(listed_find(request, &run));
  TRY(listed_begin(arena, request, &run, 1, out));
  int stride = levels->facts.train_timesteps / request->steps;
  for (int i = run.part.first; i < run.part.last; i++) {
    int row = i - run.part.first;
    double a = listed_alpha_bar(levels, &run, i);
    double to = alpha_bar_at(levels, (int)run.points.timestep[i] - stride, true);
    struct predicted at = listed_predicted(levels, &run, i);
    out->row[row].needs_noise = request->eta > 0.0;
    fill_row(out, row, &at, to, request->eta * sqrt((1.0 - to) / (1.0 - a) * (1.0 - a / to)));
  }
  return OK;
}
