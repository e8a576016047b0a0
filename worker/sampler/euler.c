/* euler.c - Euler's method on dx/dsigma = (x - x0)/sigma, plain and ancestral (Karras et al. 2022;
 * k-diffusion). */
#include <math.h>

#include "worker/sampler/fill.h"
#include "worker/sampler/spacing.h"

static const struct spacing_rule rule = {.standard = SPACING_LINSPACE};

/* Karras spacing runs between the sigmas that the plain spacing would begin and end with. */
static enum status place(const struct plan_request *request, struct points *points) {
  TRY(points_space(request->levels, &rule, request->steps, points));
  points_sigmas(request->levels, points);
  if (request->schedule == SCHEDULE_KARRAS) {
    points_karras(request->levels, points->sigma[0], points->sigma[request->steps - 1], points);
  }
  return points_check_falling(points);
}

/* diffusers starts a little noisier where the first timestep is not the very last one that was
 * trained. */
static double start_scale(const struct noise_levels *levels, double sigma_max) {
  return spacing_used(&levels->facts, &rule) == SPACING_LEADING ? sqrt(sigma_max * sigma_max + 1.0)
                                                                : sigma_max;
}

/* One step from sigma to `to`, then fresh noise of size `up`. x' = x + (x - x0) (to - sigma)/sigma
 * + up * noise */
static void fill_row(const struct plan *plan, int row, struct linear image, double sigma, double to,
                     double up) {
  double slope = (to - sigma) / sigma;
  *plan_cell(plan, row, 0, COLUMN_SAMPLE) = (float)(1.0 + slope * (1.0 - image.by_sample));
  *plan_cell(plan, row, 0, column_output(plan)) = (float)(-slope * image.by_output);
  *plan_cell(plan, row, 0, column_noise(plan)) = (float)up;
}

static enum status fill(struct arena *arena, const struct plan_request *request, bool ancestral,
                        struct plan *out) {
  struct points points;
  TRY(place(request, &points));
  TRY(plan_take(arena, request->steps, 1, out));
  out->start_scale = (float)start_scale(request->levels, points.sigma[0]);
  for (int i = 0; i < request->steps; i++) {
    double sigma = points.sigma[i];
    double to = points.sigma[i + 1];
    double up = ancestral ? sqrt(to * to * (sigma * sigma - to * to) / (sigma * sigma)) : 0.0;
    double down = ancestral ? sqrt(to * to - up * up) : to;
    out->row[i].timestep = (float)points.timestep[i];
    out->row[i].input_scale = (float)(1.0 / sqrt(sigma * sigma + 1.0));
    out->row[i].needs_noise =
        ancestral; /* also on the last row, where it counts nothing: so does diffusers */
    out->row[i].keep_clean = 1.0f;
    out->row[i].keep_begun = (float)to;
    fill_row(out, i, predicted_image(request->levels->facts.prediction, 1.0, sigma), sigma, down,
             up);
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
