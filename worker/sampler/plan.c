/* plan.c - finds the sampler and lets it fill its table. */
#include "worker/sampler/plan.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/sampler/fill.h"

static enum status unknown(const char *name) {
  char list[128] = "";
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
  bool finite = isfinite(plan->start_scale);
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

/* What is not built is refused. */
static enum status check_whole(const struct plan_request *request) {
  if (request->eta != 0.0) {
    return fail_field(BAD_INPUT, "eta", "eta %g is not offered", request->eta);
  }
  if (request->image || request->strength != 1.0) {
    return fail_field(BAD_INPUT, "strength", "a beginning with an image is not offered");
  }
  if (request->begin != 0.0 || request->end != 1.0) {
    return fail_field(BAD_INPUT, "denoising", "a part of the steps is not offered");
  }
  if (request->spacing != SPACING_DEFAULT) {
    return fail_field(BAD_INPUT, "spacing", "the model's spacing cannot be overridden");
  }
  return OK;
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
  if (request->schedule != SCHEDULE_MODEL &&
      !(request->schedule == SCHEDULE_KARRAS && sampler->has_karras)) {
    return fail_field(BAD_INPUT, "noise_schedule", "%s has no such noise schedule", sampler->name);
  }
  TRY(check_whole(request));
  if (request->steps < 1 || request->steps > JOB_STEPS_MAX) {
    return fail_field(BAD_INPUT, "steps", "%d steps are not in 1..%d", request->steps,
                      JOB_STEPS_MAX);
  }
  struct plan plan = {0};
  TRY(sampler->fill(arena, request, &plan));
  TRY(check_finite(&plan, sampler->name));
  *out = plan;
  return OK;
}
