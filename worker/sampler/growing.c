/* growing.c - points, beginning and slope of Euler's kin. */
#include "worker/sampler/growing.h"

#include <math.h>

enum status growing_find(const struct plan_request *request, struct growing *out) {
  struct growing run;
  TRY(points_growing(request, &run.points));
  TRY(part_find(request, run.points.timestep, run.points.steps, 1, &run.part));
  *out = run;
  return OK;
}

enum status growing_find_pairs(const struct plan_request *request, const double *middle,
                               struct growing *out) {
  double timestep[2 * JOB_STEPS_MAX];
  int steps = out->points.steps;
  for (int i = 0; i < steps; i++) {
    timestep[2 * i] = out->points.timestep[i];
    timestep[2 * i + 1] = i + 1 < steps ? middle[i] : 0.0; /* the last has one look */
  }
  return part_find(request, timestep, 2 * steps - 1, 2, &out->part);
}

/* diffusers begins a little noisier where the first timestep is not the very last one that was
 * trained. */
static double start_scale(const struct plan_request *request, double sigma_max) {
  return spacing_leads(request) ? sqrt(sigma_max * sigma_max + 1.0) : sigma_max;
}

static void begin(const struct plan_request *request, const struct growing *run, int step,
                  struct plan *out) {
  plan_begin(request, level_growing(run->points.sigma[step]),
             start_scale(request, run->points.sigma[0]), out);
}

void growing_begin(const struct plan_request *request, const struct growing *run,
                   struct plan *out) {
  begin(request, run, run->part.first, out);
}

void growing_begin_pairs(const struct plan_request *request, const struct growing *run,
                         struct plan *out) {
  begin(request, run, run->part.first / 2, out);
}

void growing_row(struct plan_row *row, double timestep, double sigma, double to) {
  row->timestep = (float)timestep;
  row->input_scale = (float)(1.0 / sqrt(sigma * sigma + 1.0));
  plan_keep(row, level_growing(to));
}

struct form growing_slope(const struct plan_request *request, double sigma) {
  struct form image = image_growing(request->levels->facts.prediction, sigma);
  return form_times(1.0 / sigma, form_plus(form_of(0), form_times(-1.0, image)));
}

double ancestral_up(double sigma, double to) {
  return fmin(to, sqrt(to * to * (sigma * sigma - to * to) / (sigma * sigma)));
}
