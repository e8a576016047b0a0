/* known_answer.c - the engine tries itself. */
#include "worker/engine/known_answer.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"

enum { CELLS = 8, STEPS = 2, SEED = 1 };

/* What came out: a sum over the pixels of each run (FNV-1a), and why it failed if it did. */
struct answer {
  int pictures;
  uint64_t hash[2];
  char reason[FAIL_REASON_MAX];
};

static void on_started(void *context, const char *id, uint64_t fence) {
  (void)context, (void)id, (void)fence;
}
static void on_step(void *context, const char *id, uint64_t fence, uint32_t step, uint32_t steps) {
  (void)context, (void)id, (void)fence, (void)step, (void)steps;
}
static void on_turn(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds) {
  (void)context, (void)rows, (void)samples, (void)microseconds;
}
static void on_finished(void *context, const char *id, uint64_t fence,
                        const Darkroom__V1__Timings *timings) {
  (void)context, (void)id, (void)fence, (void)timings;
}

static void on_pixels(void *context, const struct engine_picture *picture) {
  struct answer *answer = context;
  if (picture->index != 0) {
    return; /* the stranger's */
  }
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < (size_t)picture->width * picture->height * 3; i++) {
    hash = (hash ^ picture->rgb[i]) * UINT64_C(1099511628211);
  }
  answer->hash[picture->fence] = hash;
  answer->pictures++;
}

static void on_failed(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                      const Darkroom__V1__Error *error) {
  (void)id, (void)fence, (void)kind;
  struct answer *answer = context;
  snprintf(answer->reason, sizeof answer->reason, "%s", error->message);
}

static enum status run(struct engine *engine, const struct resident *resident, uint32_t images) {
  int side = CELLS * resident->family->scale_factor;
  int multiple = resident_multiple(resident);
  side = side > resident->max_side ? resident->max_side : side;
  side = side / multiple * multiple;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)"known-answer";
  job.model = (char *)resident->id;
  job.prompt = (char *)"a lake";
  job.has_width = job.has_height = 1;
  job.width = job.height = (uint32_t)(side < multiple ? multiple : side);
  job.has_steps = job.has_seed = job.has_images = job.has_sampler = 1;
  job.steps = STEPS;
  job.seed = SEED;
  job.images = images;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER_A;
  TRY(engine_admit(engine, &job, images - 1));
  while (engine_busy(engine)) {
    TRY(engine_turn(engine));
  }
  return OK;
}

static enum status judge(const struct resident *resident, const struct answer *answer) {
  if (answer->pictures != 2) {
    return fail(BROKEN, "known-answer image of model %s: %s", resident->id, answer->reason);
  }
  if (answer->hash[0] != answer->hash[1]) {
    return fail(BROKEN, "known-answer image of model %s: not the same when run again in a batch",
                resident->id);
  }
  return OK;
}

enum status known_answer_check(struct engine *engine, struct engine_listener *listener,
                               const struct resident *resident) {
  struct answer answer = {.reason = "no picture came out"};
  struct engine_listener before = *listener;
  *listener = (struct engine_listener){&answer,     on_started, on_step, on_pixels,
                                       on_finished, on_failed,  on_turn};
  int64_t began = clock_ms();
  enum status status = run(engine, resident, 1);
  status = status == OK ? run(engine, resident, 2) : status;
  *listener = before;
  TRY(status);
  TRY(judge(resident, &answer));
  log_event("known_answer", log_text("model", resident->id), log_number("ms", clock_ms() - began));
  return OK;
}
