/* task.c - from a job to a plan. The broker has checked the job already; what depends on the model
 * is checked here. */
#include "worker/engine/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proto/job.h"

#define PLAN_BYTES_MAX (JOB_STEPS_MAX * 2 * sizeof(struct plan_row) + 4096)
#define NS_PER_US 1000

/* Weights of the lanes by priority class: a person who waits gets most of the device, bulk work is
 * never starved. */
static double weight_of(Darkroom__V1__Priority priority) {
  switch (priority) {
    case DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE:
      return 16.0;
    case DARKROOM__V1__PRIORITY__PRIORITY_BULK:
      return 1.0;
    default:
      return 4.0;
  }
}

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

static enum status check_field(bool good, const char *field, const char *limit,
                               struct refusal *why) {
  return good ? OK
              : refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, limit, "%s is not in %s",
                       field, limit);
}

static enum status check_job(const Darkroom__V1__Job *job, struct refusal *why) {
  TRY(check_field(job->id != NULL && strlen(job->id) <= JOB_ID_BYTES_MAX, "id", "1..64 bytes",
                  why));
  TRY(check_field(job->prompt != NULL && strlen(job->prompt) <= JOB_PROMPT_BYTES_MAX, "prompt",
                  "0..8192 bytes", why));
  TRY(check_field(strlen(job->negative_prompt) <= JOB_PROMPT_BYTES_MAX, "negative_prompt",
                  "0..8192 bytes", why));
  TRY(check_field(job->images >= 1 && job->images <= JOB_IMAGES_MAX, "images", "1..64", why));
  TRY(check_field(job->steps >= 1 && job->steps <= JOB_STEPS_MAX, "steps", "1..1000", why));
  return check_field(isfinite(job->guidance_scale) && fabs(job->guidance_scale) <= JOB_GUIDANCE_MAX,
                     "guidance_scale", "0..100", why);
}

/* The job's sampler as plan_make names it; a number that is not in the contract has no name. */
static enum status fill_plan(const Darkroom__V1__Job *job, struct refusal *why, struct task *out) {
  const char *name =
      job_sampler_name(job->sampler, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL);
  struct plan_request request =
      plan_request_make(out->resident->levels, name != NULL ? name : "unknown", (int)job->steps);
  request.schedule = (enum noise_schedule)job->noise_schedule; /* the same numbers */
  enum status status = plan_make(out->memory, &request, &out->plan);
  if (status == BAD_INPUT) {
    char reason[sizeof why->message], field[sizeof why->field];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    snprintf(field, sizeof field, "%s", fail_field_name());
    bool sampler = strcmp(field, "sampler") == 0 || strcmp(field, "noise_schedule") == 0;
    return refuse(why,
                  sampler ? DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER
                          : DARKROOM__V1__ERROR_CODE__ERROR_FIELD,
                  field, NULL, "%s", reason);
  }
  return status;
}

static enum status fill_shape(const Darkroom__V1__Job *job, struct refusal *why, struct task *out) {
  uint32_t side = (uint32_t)resident_side(out->resident);
  uint32_t width = job->has_width ? job->width : side;
  uint32_t height = job->has_height ? job->height : side;
  TRY(check_side(out->resident, "width", width, why));
  TRY(check_side(out->resident, "height", height, why));
  out->width = (int)width;
  out->height = (int)height;
  out->latent_width = out->width / out->resident->family->scale_factor;
  out->latent_height = out->height / out->resident->family->scale_factor;
  return OK;
}

static enum status fill(const struct residence *residence, const Darkroom__V1__Job *job,
                        struct refusal *why, struct task *out) {
  TRY(check_job(job, why));
  out->resident = residence_find(residence, job->model != NULL ? job->model : "");
  if (out->resident == NULL) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, "model", NULL,
                  "model %.64s is not on this device", job->model != NULL ? job->model : "\"\"");
  }
  TRY(fill_shape(job, why, out));
  TRY(arena_open(NULL, PLAN_BYTES_MAX, &out->memory));
  TRY(fill_plan(job, why, out));
  snprintf(out->id, sizeof out->id, "%s", job->id);
  out->prompt = job->prompt;
  out->guidance = (float)job->guidance_scale;
  out->negative_prompt = task_rows(out) == 2 ? job->negative_prompt : NULL;
  out->weight = weight_of(job->priority);
  out->seed = job->seed;
  out->images = job->images;
  return OK;
}

enum status task_open(const struct residence *residence, const Darkroom__V1__Job *job,
                      struct refusal *why, struct task *out) {
  Darkroom__V1__Job whole = *job;
  job_defaults(&whole);
  struct task task = {.taken = true};
  enum status status = fill(residence, &whole, why, &task);
  if (status != OK) {
    task_close(&task);
    return status;
  }
  *out = task;
  return OK;
}

enum status task_condition(struct task *task, struct conditionings *conditionings,
                           struct arena *scratch) {
  int64_t began = clock_ns();
  if (task->negative_prompt != NULL && task->uncond == NULL) {
    TRY(conditionings_hold(conditionings, task->resident, scratch, task->negative_prompt,
                           &task->uncond));
  }
  if (task->cond == NULL) {
    TRY(conditionings_hold(conditionings, task->resident, scratch, task->prompt, &task->cond));
  }
  task->encode_us += (uint64_t)((clock_ns() - began) / NS_PER_US);
  return OK;
}

void task_close(struct task *task) {
  conditionings_release(&task->cond);
  conditionings_release(&task->uncond);
  arena_close(&task->memory);
  *task = (struct task){0};
}

int task_rows(const struct task *task) { return task->guidance > 1.0f ? 2 : 1; }

int64_t task_cells(const struct task *task) {
  return (int64_t)task->latent_width * task->latent_height;
}

uint32_t task_steps(const struct task *task) { return task->images * (uint32_t)task->plan.steps; }

bool task_same_bucket(const struct task *a, const struct task *b) {
  return a->resident == b->resident && a->latent_width == b->latent_width &&
         a->latent_height == b->latent_height;
}
