/* trial.c - runs of a self-test, one after another, among everybody's turns. */
#include "worker/engine/trial.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/engine/example.h"
#include "worker/engine/expectation.h"

/* A picture of the model's own size that by the rate of its small ones takes longer is left to the
 * first job (as in warmup.c). */
#define LONG_US UINT64_C(10000000)
enum { WARM_RUN = SELF_TEST_RUNS, RUNS };

/* ---- who is told ---- */

static bool is_own(const char *id) { return strcmp(id, SELF_TEST_ID) == 0; }

/* The listener of the job's events: the trial's, or the one that stood before. */
static const struct engine_listener *told(const struct trial *trial, const char *id) {
  return is_own(id) ? &trial->own : &trial->outer;
}

static void on_started(void *context, const char *id, uint64_t fence) {
  const struct engine_listener *to = told(context, id);
  to->started(to->context, id, fence);
}
static void on_step(void *context, const char *id, uint64_t fence, uint32_t step, uint32_t steps) {
  const struct engine_listener *to = told(context, id);
  to->step(to->context, id, fence, step, steps);
}
static void on_pixels(void *context, const struct engine_picture *picture) {
  const struct engine_listener *to = told(context, picture->id);
  if (!is_own(picture->id) || picture->fence < SELF_TEST_RUNS) {
    to->pixels(to->context, picture);
  }
}
static void on_finished(void *context, const char *id, uint64_t fence,
                        const Darkroom__V1__Timings *timings) {
  struct trial *trial = context;
  const struct engine_listener *to = told(trial, id);
  trial->ended = trial->ended || is_own(id);
  to->finished(to->context, id, fence, timings);
}
static void on_failed(void *context, const char *id, uint64_t fence, Darkroom__V1__FailKind kind,
                      const Darkroom__V1__Error *error) {
  struct trial *trial = context;
  const struct engine_listener *to = told(trial, id);
  trial->ended = trial->ended || is_own(id);
  to->failed(to->context, id, fence, kind, error);
}
static void on_turn(void *context, uint32_t rows, uint32_t samples, uint64_t microseconds) {
  const struct engine_listener *to = &((struct trial *)context)->outer;
  to->turn(to->context, rows, samples, microseconds);
}
static void on_warning(void *context, const char *id, uint64_t fence, const char *text) {
  const struct engine_listener *to = told(context, id);
  if (to->warning != NULL) {
    to->warning(to->context, id, fence, text);
  }
}
static void on_preview(void *context, const struct engine_picture *picture) {
  const struct engine_listener *to = &((struct trial *)context)->outer;
  if (to->preview != NULL) {
    to->preview(to->context, picture);
  }
}
static void on_moved(void *context, const struct engine_move *move) {
  const struct engine_listener *to = &((struct trial *)context)->outer;
  if (to->moved != NULL) {
    to->moved(to->context, move);
  }
}

void trial_begin(struct engine *engine, struct trial *trial, const struct resident *who,
                 const struct self_test *test) {
  *trial = (struct trial){.admit = trial->admit, .who = who, .test = *test, .began_ms = clock_ms()};
  trial->own = self_test_listener(&trial->outcome);
  const struct engine_listener between = {.context = trial,
                                          .started = on_started,
                                          .step = on_step,
                                          .pixels = on_pixels,
                                          .finished = on_finished,
                                          .failed = on_failed,
                                          .turn = on_turn,
                                          .warning = on_warning,
                                          .preview = on_preview,
                                          .moved = on_moved};
  trial->outer = engine->listener;
  engine->listener = between;
}

/* ---- its runs ---- */

static bool wants_warm_run(const struct engine *engine, const struct resident *resident) {
  int64_t side = resident->family->unet.sample_side;
  const struct pace_work work = {
      .model = resident, .kind = PACE_STEP, .cells = side * side, .rows = 2};
  bool prepares =
      device_prepares(engine->settings.device) || device_keeps_sequences(engine->settings.device);
  uint64_t expected_us = pace_expect(&engine->pace, &work);
  return prepares && resident_side(resident) <= resident->max_side && expected_us > 0 &&
         expected_us <= LONG_US;
}

/* A guided picture of the model's own size, of one step; nobody looks at it. */
static enum status fill_warm_job(const struct trial *trial, struct example *example,
                                 Darkroom__V1__Job *out) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)SELF_TEST_ID;
  job.model = (char *)trial->who->id;
  job.prompt = (char *)"a lake";
  job.has_width = job.has_height = job.has_steps = job.has_seed = 1;
  job.width = job.height = (uint32_t)resident_side(trial->who);
  job.steps = 1;
  if (trial->test.wants_picture) {
    TRY(example_open(&job, example));
  }
  *out = job;
  return OK;
}

static enum status admit(struct engine *engine, struct trial *trial) {
  struct example example = {0};
  Darkroom__V1__Job job;
  enum status status = trial->number == WARM_RUN
                           ? fill_warm_job(trial, &example, &job)
                           : self_test_job(&trial->test, trial->number, &example, &job);
  status = status == OK ? trial->admit(engine, &job, trial->number, &example.inputs) : status;
  example_close(&example);
  trial->waits = status == EXHAUSTED;
  trial->admitted = status == OK;
  trial->ended = trial->ended || status == BAD_INPUT; /* it has been told why */
  return status == EXHAUSTED || status == BAD_INPUT ? OK : status;
}

static enum status judge(const struct trial *trial) {
  const struct self_test_outcome *outcome = &trial->outcome;
  if (outcome->pictures < SELF_TEST_RUNS) {
    return fail_field(BAD_INPUT, "weights", "its self-test failed: %.440s", outcome->reason);
  }
  return self_test_judge(&trial->test, outcome);
}

static bool anyone_else(const struct engine *engine) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      return true;
    }
  }
  return flights_any(&engine->flights);
}

/* A run after another; the last only where it is worth it. */
static bool next_run(const struct engine *engine, struct trial *trial) {
  trial->number++;
  trial->admitted = trial->ended = false;
  return trial->number < SELF_TEST_RUNS ||
         (trial->number == WARM_RUN && trial->outcome.pictures == SELF_TEST_RUNS &&
          wants_warm_run(engine, trial->who));
}

enum status trial_turn(struct engine *engine, struct trial *trial, bool *over) {
  enum status status = OK;
  bool more = true;
  if (!trial->admitted && !trial->ended) {
    status = admit(engine, trial);
  }
  if (status == OK && trial->waits && !anyone_else(engine)) {
    status = trial->number == WARM_RUN ? judge(trial) : EXHAUSTED;
    more = false;
  } else if (status == OK && trial->ended) {
    more = next_run(engine, trial);
    status = more ? OK : judge(trial);
  }
  *over = status != OK || !more;
  if (*over) {
    engine->listener = trial->outer;
    log_event("self_test", log_text("model", trial->who->id),
              log_text("status", status_name(status)),
              log_number("ms", clock_ms() - trial->began_ms));
    trial->who = NULL;
  }
  return status;
}
