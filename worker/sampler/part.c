/* part.c - the part of a run that is made, as the pipelines of diffusers cut it. */
#include <math.h>

#include "worker/sampler/fill.h"

/* Where the noise is cut, in training timesteps; Python's round goes to even, as rint does. */
static double cutoff(const struct plan_request *request, double part) {
  double train = request->levels->facts.train_timesteps;
  return rint(train - part * train);
}

static int count_below(const double *timestep, int rows, double limit) {
  int count = 0;
  for (int i = 0; i < rows; i++) {
    count += timestep[i] < limit;
  }
  return count;
}

/* The first row of the refiner's part. A list of a method with two rows a step has an odd number of
 * rows from the first row of any step to its end. */
static int first_below(const struct plan_request *request, const double *timestep, int rows,
                       int rows_of_a_step) {
  int count = count_below(timestep, rows, cutoff(request, request->begin));
  if (rows_of_a_step == 2 && count % 2 == 0) {
    count++;
  }
  return rows - count;
}

/* min(int(steps * strength), steps) steps are left; int() cuts. */
static int first_of_image(const struct plan_request *request, int rows_of_a_step) {
  int left = (int)(request->steps * request->strength);
  return (request->steps - left) * rows_of_a_step;
}

enum status part_find(const struct plan_request *request, const double *timestep, int rows,
                      int rows_of_a_step, struct part *out) {
  struct part part = {0, rows};
  if (request->begin > 0.0) {
    part.first = first_below(request, timestep, rows, rows_of_a_step);
  } else if (request->image) {
    part.first = first_of_image(request, rows_of_a_step);
  }
  if (part.first >= rows && request->begin == 0.0) {
    return fail_field(BAD_INPUT, "strength", "%d steps at strength %g are not one whole step",
                      request->steps, request->strength);
  }
  if (request->end < 1.0) {
    part.last = rows - count_below(timestep, rows, cutoff(request, request->end));
  }
  if (part.first < 0 || part.first >= part.last) {
    return fail_field(BAD_INPUT, "denoising", "none of %d steps lies between %g and %g",
                      request->steps, request->begin, request->end);
  }
  *out = part;
  return OK;
}
