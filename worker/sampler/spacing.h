/* spacing.h - which timesteps a run visits and how noisy each is: numpy's arithmetic as diffusers
 * uses it, in double.
 *
 * There are three families of samplers, by what they take for the state of a sample:
 *   of timesteps  x = sqrt(a) x0 + sqrt(1 - a) e, whole timesteps, a: alpha bar (DDIM, DDPM, PNDM)
 *   growing       x = x0 + sigma e, any timestep, sigma between those of the table (Euler and kin)
 *   keeping       x = (x0 + sigma e)/sqrt(sigma^2 + 1), whole timesteps (DPM-Solver++, UniPC)
 *
 */
#ifndef DARKROOM_WORKER_SAMPLER_SPACING_H
#define DARKROOM_WORKER_SAMPLER_SPACING_H

#include "base/limits.h"
#include "worker/sampler/plan.h"

/* The points of a run, noisiest first: timestep[i] and sigma[i] belong to step i; sigma[steps] is
 * where it ends, 0. */
struct points {
  int steps;
  double timestep[JOB_STEPS_MAX + 1];
  double sigma[JOB_STEPS_MAX + 1];
};

/* What a class in diffusers does with a schedule's timesteps, which are fractions. */
enum rounding {
  ROUNDED,        /* to the nearest */
  ROUNDED_OR_CUT, /* to the nearest; down where the model's betas are a squared cosine */
};

/* Each fills the points of a request for its family. BAD_INPUT, field "steps", where the spacing
 * cannot give so many; where two of them would share a noise level, too: dividing by what lies
 * between them would be dividing by 0. */
enum status points_of_timesteps(const struct plan_request *request, struct points *out);
enum status points_growing(const struct plan_request *request, struct points *out);
/* The schedule runs over the whole table here; Karras timesteps are rounded as told, those of the
 * other schedules cut. */
enum status points_keeping(const struct plan_request *request, enum rounding rounding,
                           struct points *out);

/* Whether the growing family's spacing is leading: diffusers then begins a little noisier. */
bool spacing_leads(const struct plan_request *request);

/* The timestep that has this sigma: the inverse of the table, linear in log sigma. */
double timestep_of(const struct noise_levels *levels, double sigma);

#endif
