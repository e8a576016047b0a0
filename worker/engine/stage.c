/* stage.c - what a job asks of one model. */
#include "worker/engine/stage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/job.h"

static enum status check_side(const struct resident *resident, const char *field, uint32_t side,
                              struct refusal *why) {
  int multiple = resident_multiple(resident);
  if (side < (uint32_t)multiple || side > (uint32_t)resident->max_side ||
      side % (uint32_t)multiple != 0) {
    char limit[64];
    snprintf(limit, sizeof limit, "multiple of %d, %d..%d", multiple, multiple, resident->max_side);
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, limit,
                  "%s %u does not go with model %s here", field, side, resident->id);
  }
  return OK;
}

/* A failure of the sampler's room as a refusal of the job's. */
static enum status refuse_plan(struct refusal *why) {
  char reason[sizeof why->message], field[sizeof why->field];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  snprintf(field, sizeof field, "%s", fail_field_name());
  bool sampler = strcmp(field, "sampler") == 0 || strcmp(field, "noise_schedule") == 0;
  return refuse(why,
                sampler ? DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER
                        : DARKROOM__V1__ERROR_CODE__ERROR_FIELD,
                field, NULL, "%s", reason);
}

/* The job's sampler as plan_make names it; a number that is not in the contract has no name. */
static enum status fill_plan(const struct stage_request *request, struct arena *memory,
                             struct refusal *why, struct plan *out) {
  const Darkroom__V1__Job *job = request->job;
  const char *name =
      job_sampler_name(job->sampler, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL);
  struct plan_request plan = plan_request_make(
      request->resident->levels, name != NULL ? name : "unknown", (int)request->steps);
  plan.schedule = (enum noise_schedule)job->noise_schedule; /* the same numbers */
  plan.image = request->begin == BEGIN_IMAGE;
  plan.strength = request->strength;
  plan.begin = request->from;
  plan.end = request->to;
  enum status status = plan_make(memory, &plan, out);
  return status == BAD_INPUT ? refuse_plan(why) : status;
}

static enum status fill_shape(const struct stage_request *request, struct refusal *why,
                              struct stage *out) {
  TRY(check_side(request->resident, "width", request->width, why));
  TRY(check_side(request->resident, "height", request->height, why));
  out->width = (int)request->width;
  out->height = (int)request->height;
  out->latent_width = out->width / request->resident->family->scale_factor;
  out->latent_height = out->height / request->resident->family->scale_factor;
  return OK;
}

enum status stage_fill(const struct stage_request *request, struct arena *memory,
                       struct refusal *why, struct stage *out) {
  const Darkroom__V1__Job *job = request->job;
  struct stage stage = {.resident = request->resident,
                        .begin = request->begin,
                        .prompt = job->prompt,
                        .guidance = (float)job->guidance_scale};
  TRY(fill_shape(request, why, &stage));
  TRY(fill_plan(request, memory, why, &stage.plan));
  stage.negative_prompt = stage_rows(&stage) == 2 ? job->negative_prompt : NULL;
  *out = stage;
  return OK;
}

enum status stage_condition(struct stage *stage, struct conditionings *conditionings,
                            struct arena *scratch) {
  if (stage->negative_prompt != NULL && stage->uncond == NULL) {
    TRY(conditionings_hold(conditionings, stage->resident, scratch, stage->negative_prompt,
                           &stage->uncond));
  }
  return stage->cond != NULL ? OK
                             : conditionings_hold(conditionings, stage->resident, scratch,
                                                  stage->prompt, &stage->cond);
}

void stage_close(struct stage *stage) {
  conditionings_release(&stage->cond);
  conditionings_release(&stage->uncond);
}

int stage_rows(const struct stage *stage) { return stage->guidance > 1.0f ? 2 : 1; }

int64_t stage_cells(const struct stage *stage) {
  return (int64_t)stage->latent_width * stage->latent_height;
}

bool stage_same_shape(const struct stage *a, const struct stage *b) {
  return a->resident == b->resident && a->latent_width == b->latent_width &&
         a->latent_height == b->latent_height;
}
