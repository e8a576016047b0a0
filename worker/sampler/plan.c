/* plan.c - finds the sampler and lets it fill its table. */
#include "worker/sampler/plan.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/sampler/fill.h"

#define SAMPLER_LIST_BYTES_MAX 256

static enum status unknown(const char *name) {
  char list[SAMPLER_LIST_BYTES_MAX] = "";
  size_t used = 0;
  for (size_t i = 0; i < sampler_count && used < sizeof list; i++) {
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "",
                             samplers[i].name);
  }
  return fail_field(BAD_INPUT, "sampler", "unknown sampler \"%.32s\": there are %s", name, list);
}

static const struct sampler *find(const char *name) {
  for (size_t i = 0; i < sampler_count; i++) {
    if (strcmp(samplers[i].name, name) == 0) {
      return &samplers[i];
    }
  }
  return NULL;
}

/* A coefficient that is not finite would spoil the picture silently: the facts then do not go with
 * the sampler. */
static enum status check_finite(const struct plan *plan, const char *name) {
  bool finite = isfinite(plan->start_scale) && isfinite(plan->start_clean);
  for (int row = 0; row < plan->rows; row++) {
    finite = finite && isfinite(plan->row[row].timestep) && isfinite(plan->row[row].input_scale);
    for (int cell = 0; cell < plan->slots * (plan->slots + 2); cell++) {
      finite = finite && isfinite(plan->row[row].matrix[cell]);
    }
  }
  return finite ? OK
                : fail_field(BAD_INPUT, "sampler", "%s does not go with this model's noise levels",
                             name);
}

static bool within(double value, double least, double most) {
  return value >= least && value <= most; /* and not for NAN */
}

static enum status check_sampler(const struct sampler *sampler,
                                 const struct plan_request *request) {
  const char *schedule = schedule_name(request->schedule);
  if (schedule == NULL) {
    return fail_field(BAD_INPUT, "noise_schedule", "there is no noise schedule %d",
                      (int)request->schedule);
  }
  if (request->schedule != SCHEDULE_MODEL && !sampler->any_schedule) {
    return fail_field(BAD_INPUT, "noise_schedule", "%s has no %s schedule", sampler->name,
                      schedule);
  }
  if (request->spacing != SPACING_DEFAULT && sampler->own_timesteps) {
    return fail_field(BAD_INPUT, "spacing", "%s has timesteps of its own", sampler->name);
  }
  if (!within(request->eta, 0.0, 1.0)) {
    return fail_field(BAD_INPUT, "eta", "eta %g is not in 0..1", request->eta);
  }
  if (request->eta != 0.0 && !sampler->uses_eta) {
    return fail_field(BAD_INPUT, "eta", "%s has no eta", sampler->name);
  }
  return OK;
}

static enum status check_part(const struct plan_request *request) {
  if (!within(request->strength, 0.0, 1.0)) {
    return fail_field(BAD_INPUT, "strength", "strength %g is not in 0..1", request->strength);
  }
  if (!request->image && request->strength != 1.0) {
    return fail_field(BAD_INPUT, "strength", "strength %g needs an image to begin with",
                      request->strength);
  }
  if (request->strength == 0.0 && request->end < 1.0) {
    return fail_field(BAD_INPUT, "strength",
                      "strength 0 leaves the image as it is: nothing goes on from %g",
                      request->end);
  }
  if (!within(request->begin, 0.0, 1.0) || !within(request->end, 0.0, 1.0)) {
    return fail_field(BAD_INPUT, "denoising", "the part from %g to %g is not within 0..1",
                      request->begin, request->end);
  }
  return OK;
}

static enum status check(const struct sampler *sampler, const struct plan_request *request) {
  TRY(check_sampler(sampler, request));
  if (request->steps < 1 || request->steps > JOB_STEPS_MAX) {
    return fail_field(BAD_INPUT, "steps", "%d steps are not in 1..%d", request->steps,
                      JOB_STEPS_MAX);
  }
  return check_part(request);
}

struct plan_request plan_request_make(const struct noise_levels *levels, const char *sampler,
                                      int steps) {
  return (struct plan_request){.levels = levels,
                               .sampler = sampler,
                               .schedule = SCHEDULE_MODEL,
                               .spacing = SPACING_DEFAULT,
                               .steps = steps,
                               .strength = 1.0,
                               .end = 1.0};
}

enum status plan_make(struct arena *arena, const struct plan_request *request, struct plan *out) {
  const struct sampler *sampler = find(request->sampler);
  if (sampler == NULL) {
    return unknown(request->sampler);
  }
  TRY(check(sampler, request));
  struct plan plan = {.slots = 1, .start_clean = 1.0f};
  if (request->strength > 0.0 || request->begin > 0.0) {
    TRY(sampler->fill(arena, request, &plan));
  }
  TRY(check_finite(&plan, sampler->name));
  *out = plan;
  return OK;
}
