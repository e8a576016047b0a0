/* spacing.c - timesteps by leading, linspace or trailing (Lin et al. 2023, table 2), or by sigma
 * (Karras et al. 2022). */
#include "worker/sampler/spacing.h"

#include <assert.h>
#include <math.h>

#define KARRAS_RHO 7.0
#define SIGMA_MIN 1e-10 /* guards the logarithm, as in diffusers */

enum spacing spacing_used(const struct noise_facts *facts, const struct spacing_rule *rule) {
  return facts->spacing == SPACING_DEFAULT ? rule->standard : facts->spacing;
}

static enum status too_many(int steps, int limit) {
  return fail_field(BAD_INPUT, "steps",
                    "%d steps are more than this model's spacing gives: at most %d", steps, limit);
}

/* numpy.linspace(0, last, count) read from its end. numpy rounds to nearest even, as rint does. */
static void linspace(double last, int count, bool rounded, struct points *out) {
  double step = count > 1 ? last / (count - 1) : 0.0;
  for (int i = 0; i < out->steps; i++) {
    int at = count - 1 - i;
    double t = at == count - 1 && count > 1 ? last : at * step;
    /* Where it is not rounded it is an f32 array. */
    out->timestep[i] = rounded ? rint(t) : (double)(float)t;
  }
}

static enum status leading(const struct noise_facts *facts, int count, struct points *out) {
  int ratio = facts->train_timesteps / count;
  if (ratio == 0) {
    return too_many(out->steps, facts->train_timesteps - (count - out->steps));
  }
  for (int i = 0; i < out->steps; i++) {
    out->timestep[i] = (double)(count - 1 - i) * ratio + facts->steps_offset;
  }
  return OK;
}

/* numpy.arange(T, 0, -T / steps): its stride is the difference of the first two values, not the
 * argument. Where rounding makes numpy give one value more (61 steps, for one) the surplus one,
 * timestep -1, is left out. */
static enum status trailing(const struct noise_facts *facts, struct points *out) {
  if (out->steps > facts->train_timesteps) {
    return too_many(out->steps, facts->train_timesteps);
  }
  double first = facts->train_timesteps;
  double stride = (first - first / out->steps) - first;
  for (int i = 0; i < out->steps; i++) {
    out->timestep[i] = rint(first + i * stride) - 1.0;
  }
  return OK;
}

enum status points_space(const struct noise_levels *levels, const struct spacing_rule *rule,
                         int steps, struct points *out) {
  assert(steps >= 1 && steps <= JOB_STEPS_MAX);
  const struct noise_facts *facts = &levels->facts;
  int count = rule->one_more ? steps + 1 : steps;
  out->steps = steps;
  switch (spacing_used(facts, rule)) {
    case SPACING_LEADING:
      return leading(facts, count, out);
    case SPACING_TRAILING:
      return trailing(facts, out);
    case SPACING_LINSPACE:
    case SPACING_DEFAULT:
      break;
  }
  if (rule->rounded && count > facts->train_timesteps) {
    return too_many(steps, facts->train_timesteps - (count - steps));
  }
  linspace(facts->train_timesteps - 1, count, rule->rounded, out);
  return OK;
}

static double sigma_at(const struct noise_levels *levels, double timestep) {
  int last = levels->facts.train_timesteps - 1;
  if (timestep >= last) {
    return levels->sigma[last];
  }
  int below = (int)timestep;
  double slope = levels->sigma[below + 1] - levels->sigma[below];
  return slope * (timestep - below) + levels->sigma[below];
}

void points_sigmas(const struct noise_levels *levels, struct points *points) {
  for (int i = 0; i < points->steps; i++) {
    points->sigma[i] = (float)sigma_at(levels, points->timestep[i]);
  }
  points->sigma[points->steps] = 0.0;
}

/* The inverse of sigma_at, linear in log sigma; the table of logarithms is f32. */
static double timestep_at(const struct noise_levels *levels, double sigma) {
  int count = levels->facts.train_timesteps;
  if (count == 1) {
    return 0.0;
  }
  double wanted = log(fmax(sigma, SIGMA_MIN));
  int below = 0;
  while (below < count - 2 && (double)logf((float)levels->sigma[below + 1]) <= wanted) {
    below++;
  }
  float low = logf((float)levels->sigma[below]);
  float high = logf((float)levels->sigma[below + 1]);
  double weight = fmin(fmax(((double)low - wanted) / (double)(low - high), 0.0), 1.0);
  return (1.0 - weight) * below + weight * (below + 1);
}

void points_karras(const struct noise_levels *levels, double sigma_max, double sigma_min,
                   struct points *points) {
  double high = pow(sigma_max, 1.0 / KARRAS_RHO);
  double low = pow(sigma_min, 1.0 / KARRAS_RHO);
  for (int i = 0; i < points->steps; i++) {
    double ramp = points->steps > 1 ? (double)i / (points->steps - 1) : 0.0;
    double sigma = pow(high + ramp * (low - high), KARRAS_RHO);
    points->timestep[i] = timestep_at(levels, sigma);
    points->sigma[i] = (float)sigma;
  }
  points->sigma[points->steps] = 0.0;
}

enum status points_check_falling(const struct points *points) {
  for (int i = 0; i < points->steps; i++) {
    if (!(points->sigma[i + 1] < points->sigma[i])) {
      return fail_field(BAD_INPUT, "steps",
                        "%d steps are too many: two of them would share a noise level",
                        points->steps);
    }
  }
  return OK;
}
