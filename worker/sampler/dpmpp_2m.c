/* dpmpp_2m.c - DPM-Solver++(2M), Lu et al. 2022 (2211.01095) algorithm 2, midpoint form, the end at
 * sigma 0.
 *
 * Slot 1 keeps the clean image predicted by the step before. x is variance preserving: x = alpha
 * (x0 + sigma e) with alpha = 1/sqrt(sigma^2 + 1); lambda = -log sigma.
 */
#include <math.h>

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

static const struct spacing_rule rule = {
    .standard = SPACING_LINSPACE, .rounded = true, .one_more = true};
enum { SLOT_BEFORE = 1, SLOTS = 2 };

/* Karras spacing runs over the whole table here, and the U-Net is told whole timesteps; diffusers
 * rounds them except for the cosine schedule, where it cuts. */
static enum status place(const struct plan_request *request, struct points *points) {
  const struct noise_levels *levels = request->levels;
  if (request->schedule != SCHEDULE_KARRAS) {
    TRY(points_space(levels, &rule, request->steps, points));
    points_sigmas(levels, points);
    return points_check_falling(points);
  }
  points->steps = request->steps;
  points_karras(levels, levels->sigma[levels->facts.train_timesteps - 1], levels->sigma[0], points);
  bool cut = levels->facts.beta_schedule == BETAS_SQUARED_COSINE;
  for (int i = 0; i < points->steps; i++) {
    points->timestep[i] = cut ? trunc(points->timestep[i]) : rint(points->timestep[i]);
  }
  return points_check_falling(points);
}

static double alpha(double sigma) { return 1.0 / sqrt(sigma * sigma + 1.0); }

/* x' = (s'/s) x + gain * (x0 + weight * (x0 - x0 before)), s = alpha sigma; the first and the last
 * step have weight 0. */
static void fill_row(const struct plan *plan, int row, struct linear image, const double *sigma) {
  double to = sigma[1];
  double keep = to * alpha(to) / (sigma[0] * alpha(sigma[0]));
  double gain = alpha(to) * (1.0 - to / sigma[0]); /* e^-h = sigma'/sigma */
  double weight = 0.0;
  if (row > 0 && to > 0.0) {
    double h = log(sigma[0]) - log(to);
    double h_before = log(sigma[-1]) - log(sigma[0]);
    weight = h / (2.0 * h_before);
  }
  *plan_cell(plan, row, 0, COLUMN_SAMPLE) = (float)(keep + gain * (1.0 + weight) * image.by_sample);
  *plan_cell(plan, row, 0, SLOT_BEFORE) = (float)(-gain * weight);
  *plan_cell(plan, row, 0, column_output(plan)) = (float)(gain * (1.0 + weight) * image.by_output);
  *plan_cell(plan, row, SLOT_BEFORE, COLUMN_SAMPLE) = (float)image.by_sample;
  *plan_cell(plan, row, SLOT_BEFORE, column_output(plan)) = (float)image.by_output;
}

enum status dpmpp_2m_fill(struct arena *arena, const struct plan_request *request,
                          struct plan *out) {
  struct points points;
  TRY(place(request, &points));
  TRY(plan_take(arena, request->steps, SLOTS, out));
  for (int i = 0; i < request->steps; i++) {
    double sigma = points.sigma[i];
    double to = points.sigma[i + 1];
    out->row[i].timestep = (float)points.timestep[i];
    out->row[i].keep_clean = (float)alpha(to);
    out->row[i].keep_begun = (float)(to * alpha(to));
    fill_row(out, i, predicted_image(request->levels->facts.prediction, alpha(sigma), sigma),
             &points.sigma[i]);
  }
  return OK;
}
