/* spacing.h - which timesteps a run visits and how noisy each is: numpy's arithmetic as diffusers
 * uses it, in double. */
#ifndef DARKROOM_WORKER_SAMPLER_SPACING_H
#define DARKROOM_WORKER_SAMPLER_SPACING_H

#include "base/limits.h"
#include "worker/sampler/noise_levels.h"

/* The points of a run, noisiest first: timestep[i] and sigma[i] belong to step i; sigma[steps] is
 * where it ends. */
struct points {
  int steps;
  double timestep[JOB_STEPS_MAX + 1];
  double sigma[JOB_STEPS_MAX + 1];
};

/* How a class in diffusers reads a spacing. */
struct spacing_rule {
  enum spacing standard; /* what SPACING_DEFAULT means to it */
  bool rounded;          /* linspace gives whole timesteps */
  bool one_more; /* linspace and leading count one point more and leave out the last (DPM-Solver) */
};

/* Fills timestep[0..steps). BAD_INPUT, field "steps", where the spacing cannot give so many. */
enum status points_space(const struct noise_levels *levels, const struct spacing_rule *rule,
                         int steps, struct points *out);
/* The spacing that the facts and the class agree on. */
enum spacing spacing_used(const struct noise_facts *facts, const struct spacing_rule *rule);

/* sigma at each timestep by linear interpolation, held at the table's ends, then 0; rounded to f32
 * at the end. */
void points_sigmas(const struct noise_levels *levels, struct points *points);

/* Karras et al. 2022, equation 5 with rho 7 between two sigmas, and the timesteps that have those
 * sigmas. */
void points_karras(const struct noise_levels *levels, double sigma_max, double sigma_min,
                   struct points *points);

/* BAD_INPUT, field "steps", unless the sigmas fall strictly: two steps on one timestep would divide
 * by 0. */
enum status points_check_falling(const struct points *points);

#endif
