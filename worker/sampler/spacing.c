/* spacing.c - timesteps by leading, linspace or trailing (Lin et al. 2023, table 2), or by sigma
 * (schedules.c). */
#include "worker/sampler/spacing.h"

#include <assert.h>
#include <math.h>

#include "worker/sampler/schedules.h"

#define SIGMA_MIN 1e-10 /* guards the logarithm, as in diffusers */

/* How a family reads a spacing. */
struct rule {
  enum spacing standard; /* what SPACING_DEFAULT means to it */
  bool rounded;          /* linspace gives whole timesteps */
  bool one_more;         /* linspace and leading count one point more and leave out the last */
};
static const struct rule of_timesteps = {.standard = SPACING_LEADING, .rounded = true};
static const struct rule growing = {.standard = SPACING_LINSPACE};
static const struct rule keeping = {
    .standard = SPACING_LINSPACE, .rounded = true, .one_more = true};

/* The job's word before the model's, and that before the class's. */
static enum spacing spacing_used(const struct plan_request *request, const struct rule *rule) {
  if (request->spacing != SPACING_DEFAULT) {
    return request->spacing;
  }
  enum spacing fact = request->levels->facts.spacing;
  return fact == SPACING_DEFAULT ? rule->standard : fact;
}

bool spacing_leads(const struct plan_request *request) {
  return spacing_used(request, &growing) == SPACING_LEADING;
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

static enum status space(const struct plan_request *request, const struct rule *rule,
                         struct points *out) {
  assert(request->steps >= 1 && request->steps <= JOB_STEPS_MAX);
  const struct noise_facts *facts = &request->levels->facts;
  int count = rule->one_more ? request->steps + 1 : request->steps;
  out->steps = request->steps;
  out->sigma[out->steps] = 0.0;
  switch (spacing_used(request, rule)) {
    case SPACING_LEADING:
      return leading(facts, count, out);
    case SPACING_TRAILING:
      return trailing(facts, out);
    case SPACING_LINSPACE:
    case SPACING_DEFAULT:
      break;
  }
  if (rule->rounded && count > facts->train_timesteps) {
    return too_many(request->steps, facts->train_timesteps - (count - request->steps));
  }
  linspace(facts->train_timesteps - 1, count, rule->rounded, out);
  return OK;
}

/* Linear between the table's timesteps, held at its ends. */
static double sigma_at(const struct noise_levels *levels, double timestep) {
  int last = levels->facts.train_timesteps - 1;
  if (timestep >= last) {
    return levels->sigma[last];
  }
  int below = (int)timestep;
  double slope = levels->sigma[below + 1] - levels->sigma[below];
  return slope * (timestep - below) + levels->sigma[below];
}

/* The sigmas of a spacing, f32 as torch has them. */
static void look_up(const struct noise_levels *levels, struct points *points) {
  for (int i = 0; i < points->steps; i++) {
    points->sigma[i] = (float)sigma_at(levels, points->timestep[i]);
  }
}

/* The table of logarithms is f32. */
double timestep_of(const struct noise_levels *levels, double sigma) {
  int count = levels->facts.train_timesteps;
  if (count == 1) {
    return 0.0;
  }
  double wanted = log(fmax(sigma, SIGMA_MIN));
  int below = 0;
  for (int above = count - 1; above - below > 1;) {
    int middle = (below + above) / 2;
    *((double)logf((float)levels->sigma[middle]) <= wanted ? &below : &above) = middle;
  }
  float low = logf((float)levels->sigma[below]);
  float high = logf((float)levels->sigma[below + 1]);
  double weight = fmin(fmax(((double)low - wanted) / (double)(low - high), 0.0), 1.0);
  return (1.0 - weight) * below + weight * (below + 1);
}

static enum status check_falling(const struct points *points) {
  for (int i = 0; i < points->steps; i++) {
    if (!(points->sigma[i + 1] < points->sigma[i])) {
      return fail_field(BAD_INPUT, "steps",
                        "%d steps are too many: two of them would share a noise level",
                        points->steps);
    }
  }
  return OK;
}

/* The schedule's sigmas between two, and their timesteps. */
static void schedule(const struct plan_request *request, double sigma_max, double sigma_min,
                     struct points *points) {
  schedule_sigmas(request->schedule, sigma_max, sigma_min, points->steps, points->sigma);
  for (int i = 0; i < points->steps; i++) {
    points->timestep[i] = timestep_of(request->levels, points->sigma[i]);
    points->sigma[i] = (float)points->sigma[i];
  }
}

enum status points_of_timesteps(const struct plan_request *request, struct points *out) {
  const struct noise_facts *facts = &request->levels->facts;
  TRY(space(request, &of_timesteps, out));
  if (out->timestep[0] >= facts->train_timesteps) {
    return fail_field(
        BAD_INPUT, "steps", "%d steps with steps_offset %d would begin at timestep %d of %d",
        request->steps, facts->steps_offset, (int)out->timestep[0], facts->train_timesteps);
  }
  return OK;
}

/* A schedule runs between the sigmas that the plain spacing would begin and end with. */
enum status points_growing(const struct plan_request *request, struct points *out) {
  TRY(space(request, &growing, out));
  look_up(request->levels, out);
  if (request->schedule != SCHEDULE_MODEL) {
    schedule(request, out->sigma[0], out->sigma[out->steps - 1], out);
  }
  return check_falling(out);
}

enum status points_keeping(const struct plan_request *request, enum rounding rounding,
                           struct points *out) {
  const struct noise_levels *levels = request->levels;
  if (request->schedule == SCHEDULE_MODEL) {
    TRY(space(request, &keeping, out));
    look_up(levels, out);
    return check_falling(out);
  }
  out->steps = request->steps;
  out->sigma[out->steps] = 0.0;
  schedule(request, levels->sigma[levels->facts.train_timesteps - 1], levels->sigma[0], out);
  bool cut = request->schedule != SCHEDULE_KARRAS ||
             (rounding == ROUNDED_OR_CUT && levels->facts.beta_schedule == BETAS_SQUARED_COSINE);
  for (int i = 0; i < out->steps; i++) {
    out->timestep[i] = cut ? trunc(out->timestep[i]) : rint(out->timestep[i]);
  }
  return check_falling(out);
}
