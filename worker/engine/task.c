/* task.c - from a job to a plan. The broker has checked the job already; what depends on the model
 * is checked here. */
#include "worker/engine/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proto/job.h"

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
  TRY(check_field(
      job->negative_prompt == NULL || strlen(job->negative_prompt) <= JOB_PROMPT_BYTES_MAX,
      "negative_prompt", "0..8192 bytes", why));
  TRY(check_field(job->images >= 1 && job->images <= JOB_IMAGES_MAX, "images", "1..64", why));
  TRY(check_field(job->steps >= 1 && job->steps <= JOB_STEPS_MAX, "steps", "1..1000", why));
  return check_field(isfinite(job->guidance_scale) && fabs(job->guidance_scale) <= JOB_GUIDANCE_MAX,
                     "guidance_scale", "0..100", why);
}

static enum status fill(const struct residence *residence, const Darkroom__V1__Job *job,
                        const struct engine_inputs *inputs, struct refusal *why, struct task *out) {
  TRY(check_job(job, why));
  TRY(recipe_open(residence, job, inputs, why, &out->recipe));
  snprintf(out->id, sizeof out->id, "%s", job->id);
  out->weight = weight_of(job->priority);
  out->seed = job->seed;
  out->images = job->images;
  return OK;
}

enum status task_open(const struct residence *residence, const Darkroom__V1__Job *job,
                      const struct engine_inputs *inputs, struct refusal *why, struct task *out) {
  Darkroom__V1__Job whole = *job;
  job_defaults(&whole);
  struct task task = {.taken = true};
  TRY(fill(residence, &whole, inputs, why, &task));
  *out = task;
  return OK;
}

enum status task_prepare(struct task *task, const struct makers *makers,
                         const Darkroom__V1__Job *job, const struct engine_inputs *inputs) {
  int64_t began = clock_ns();
  enum status status = recipe_prepare(task->recipe, makers, job, inputs);
  task->encode_us += (uint64_t)((clock_ns() - began) / NS_PER_US);
  return status;
}

void task_close(struct task *task) {
  recipe_release(&task->recipe);
  *task = (struct task){0};
}

uint32_t task_steps(const struct task *task) { return task->images * recipe_steps(task->recipe); }
