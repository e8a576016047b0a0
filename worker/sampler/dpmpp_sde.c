/* dpmpp_sde.c - DPM-Solver++ for the diffusion SDE, single step with two looks (k-diffusion's
 * sample_dpmpp_sde with eta 1 and r 1/2): a first ancestral step to the middle of log sigma, then
 * the whole step from its beginning with what the U-Net says in the middle.
 *
 * Slot 1 keeps the sample at the step's beginning, slot 2 the noise of the first look. Both looks
 * are noised by one Brownian path over sigma: the second by the path's whole way, which is the
 * first half's way and fresh noise for the rest. The path is drawn in the order of the rows;
 * diffusers and k-diffusion draw theirs from torchsde's tree, whose seed is its own.
 *
 */
#include <math.h>

#include "worker/sampler/growing.h"

enum { SLOT_BEFORE = 1, SLOT_NOISE = 2, SLOTS = 3 };

/* x' = (down/sigma) x + (1 - down/sigma) x0 + up noise: exponential integration from sigma to down.
 */
static struct form ancestral(struct form before, struct form image, struct form noise, double sigma,
                             double to) {
  double up = ancestral_up(sigma, to);
  double keep = sqrt(to * to - up * up) / sigma;
  struct form moved = form_plus(form_times(keep, before), form_times(1.0 - keep, image));
  return form_plus(moved, form_times(up, noise));
}

static void first_half(const struct plan *plan, int row, struct form image, double sigma,
                       double middle) {
  struct form noise = form_of(COLUMN_NOISE);
  plan_set(plan, row, 0, ancestral(form_of(0), image, noise, sigma, middle));
  plan_set(plan, row, SLOT_BEFORE, form_of(0));
  plan_set(plan, row, SLOT_NOISE, noise);
}

/* The path's way from sigma to `to`, brought to variance 1. Slots 1 and 2 are left 0. */
static void second_half(const struct plan *plan, int row, struct form image, const double *sigma,
                        double middle) {
  double whole = sigma[0] - sigma[1];
  struct form noise =
      form_plus(form_times(sqrt((sigma[0] - middle) / whole), form_of(SLOT_NOISE)),
                form_times(sqrt((middle - sigma[1]) / whole), form_of(COLUMN_NOISE)));
  plan_set(plan, row, 0, ancestral(form_of(SLOT_BEFORE), image, noise, sigma[0], sigma[1]));
}

static double middle_of(const double *sigma) { return sqrt(sigma[0] * sigma[1]); }

/* A row of the whole list: 2 i and 2 i + 1 are the looks of step i. */
static void fill_row(const struct plan_request *request, const double *sigma, bool second,
                     struct plan *plan, int row) {
  double middle = middle_of(sigma);
  struct form image = image_growing(request->levels->facts.prediction, second ? middle : sigma[0]);
  if (second) {
    second_half(plan, row, image, sigma, middle);
  } else if (sigma[1] > 0.0) {
    first_half(plan, row, image, sigma[0], middle);
  } else {
    plan_set(plan, row, 0, image); /* Euler to sigma 0 */
  }
}

enum status dpmpp_sde_fill(struct arena *arena, const struct plan_request *request,
                           struct plan *out) {
  struct growing run;
  double middle[JOB_STEPS_MAX];
  TRY(points_growing(request, &run.points));
  for (int i = 0; i < run.points.steps; i++) {
    middle[i] = timestep_of(request->levels, middle_of(&run.points.sigma[i]));
  }
  TRY(growing_find_pairs(request, middle, &run));
  TRY(plan_take(arena, &run.part, 2, SLOTS, out));
  growing_begin_pairs(request, &run, out);
  for (int i = run.part.first; i < run.part.last; i++) {
    const double *sigma = &run.points.sigma[i / 2];
    bool second = i % 2 == 1;
    int row = i - run.part.first;
    /* A kept picture is noised as the step's end is, after the first look, too: diffusers'
     * add_noise knows no middle. */
    growing_row(&out->row[row], second ? middle[i / 2] : run.points.timestep[i / 2],
                second ? middle_of(sigma) : sigma[0], sigma[1]);
    out->row[row].needs_noise = sigma[1] > 0.0;
    fill_row(request, sigma, second, out, row);
  }
  return OK;
}
