/* keeping.c - points and beginning of DPM-Solver++ and UniPC. */
#include "worker/sampler/keeping.h"

enum status keeping_find(const struct plan_request *request, enum rounding rounding,
                         struct keeping *out) {
  struct keeping run;
  TRY(points_keeping(request, rounding, &run.points));
  TRY(part_find(request, run.points.timestep, run.points.steps, 1, &run.part));
  *out = run;
  return OK;
}

void keeping_begin(const struct plan_request *request, const struct keeping *run,
                   struct plan *out) {
  plan_begin(request, level_keeping(run->points.sigma[run->part.first]), 1.0, out);
}

void keeping_row(struct plan_row *row, const struct keeping *run, int i) {
  row->timestep = (float)run->points.timestep[i];
  plan_keep(row, level_keeping(run->points.sigma[i + 1]));
}

double keeping_kept(double sigma, double to) {
  return level_keeping(to).noise / level_keeping(sigma).noise;
}
