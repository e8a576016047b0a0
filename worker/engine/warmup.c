/* warmup.c - calls of idle places. */
#include "worker/engine/warmup.h"

#include "base/clock.h"
#include "base/progress.h"
#include "monitoring/log.h"
#include "worker/engine/beginning.h"
#include "worker/engine/decodes.h"
#include "worker/engine/example.h"
#include "worker/engine/expectation.h"
#include "worker/engine/memory.h"

#define NS_PER_US 1000
enum { TIMES = 2 };
/* Where a device prepares but keeps no sequences, a call that by the rate of the self-test's small
 * pictures takes longer is left to the first job: so long, at most, nobody waits for an engine. */
#define LONG_US UINT64_C(10000000)

/* A guided picture of the size the model was made for. */
static enum status open_task(struct engine *engine, const struct resident *resident,
                             struct task *out) {
  struct refusal why = {0};
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)"warmup";
  job.model = (char *)resident->id;
  job.prompt = (char *)"";
  job.has_steps = job.has_seed = job.has_sampler = 1;
  job.steps = 1;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER;
  struct example example = {0};
  if (example_wanted(resident->family)) {
    job.has_width = job.has_height = 1;
    job.width = job.height = (uint32_t)resident_side(resident);
    TRY(example_open(&job, &example));
  }
  enum status status = task_open(&engine->residence, &job, &example.inputs, &why, out);
  example_close(&example);
  return status;
}

static enum status wait(struct engine *engine) {
  TRY(device_wait(engine->settings.device));
  progress_count();
  return OK;
}

static enum status warm_steps(struct engine *engine, const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  const struct workplace place = {engine->settings.device, scratch_of(engine, QUEUE_STEPS),
                                  engine->room};
  for (int rows = 0; rows < stage->rows_max;) {
    int before = rows;
    rows = batch_next_rows(rows, stage->rows_max);
    enum status status = OK;
    for (int i = 0; i < TIMES && status == OK; i++) {
      status = batch_queue_idle(sample, rows, &place);
    }
    TRY(wait(engine));
    if (status == EXHAUSTED && before >= stage_rows(stage)) {
      log_warning("rows_lowered", log_text("model", stage->resident->id),
                  log_number("rows", before), log_text("reason", fail_reason()));
      ceiling_lower(&engine->ceilings, &(struct ceiling){.model = stage->resident,
                                                         .height = stage->latent_height,
                                                         .width = stage->latent_width,
                                                         .rows = before});
      return OK;
    }
    TRY(status);
  }
  return OK;
}

static bool is_short(const struct engine *engine, const struct pace_work *work) {
  uint64_t expected_us = pace_expect(&engine->pace, work);
  return expected_us > 0 && expected_us <= LONG_US;
}

/* The call that one picture makes: what is made once, and then how long it takes, so that the first
 * job's turns are as long as they should be. */
static enum status warm_step(struct engine *engine, const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  const struct pace_work work = work_of(stage, PACE_STEP, stage_rows(stage));
  const struct workplace place = {engine->settings.device, scratch_of(engine, QUEUE_STEPS),
                                  engine->room};
  int64_t began = 0;
  for (int i = 0; i < TIMES && is_short(engine, &work); i++) {
    began = clock_ns();
    TRY(batch_queue_idle(sample, work.rows, &place));
    TRY(wait(engine));
  }
  if (began > 0) {
    pace_note(&engine->pace, &work, (uint64_t)((clock_ns() - began) / NS_PER_US));
  }
  return OK;
}

static bool wants_decode(const struct engine *engine, const struct stage *stage) {
  const struct pace_work work = work_of(stage, PACE_DECODE, 1);
  return device_keeps_sequences(engine->settings.device) || is_short(engine, &work);
}

/* Nothing is kept of decodes in turns. */
static enum status warm_decode(struct engine *engine, const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  if (stage->decode_turns > 0 || !wants_decode(engine, stage)) {
    return OK;
  }
  device_use(engine->settings.device, QUEUE_DECODES);
  enum status status = OK;
  for (int i = 0; i < TIMES && status == OK; i++) {
    status = decodes_warm(engine, sample);
  }
  device_use(engine->settings.device, QUEUE_STEPS);
  return wait(engine) == OK ? status : BROKEN;
}

static enum status warm_sample(struct engine *engine, struct task *task) {
  struct sample sample;
  size_t bytes = sample_bytes(task->recipe);
  TRY(conditionings_make_room(engine->conditionings, bytes));
  enum status status = sample_open(&sample, engine->settings.device, task, 0, &engine->room);
  if (status == OK) {
    status = wait(engine); /* for its latents, which both queues read */
    status = status != OK                                      ? status
             : device_keeps_sequences(engine->settings.device) ? warm_steps(engine, &sample)
                                                               : warm_step(engine, &sample);
    status = status == OK ? warm_decode(engine, &sample) : status;
    sample_close(&sample);
  }
  budget_give(&engine->budget, bytes);
  return status;
}

static enum status warm(struct engine *engine, struct task *task) {
  const struct stage *stage = &task->recipe->stage[0];
  int64_t began = clock_ms();
  const struct makers makers = {.device = engine->settings.device,
                                .budget = &engine->budget,
                                .conditionings = engine->conditionings,
                                .scratch = scratch_of(engine, QUEUE_STEPS)};
  const Darkroom__V1__Job nothing = DARKROOM__V1__JOB__INIT;
  TRY(task_prepare(task, &makers, &nothing, NULL));
  TRY(warm_sample(engine, task));
  log_event("warmed_up", log_text("model", stage->resident->id), log_number("side", stage->width),
            log_number("rows", stage->rows_max), log_number("ms", clock_ms() - began));
  return OK;
}

/* Each model's task, or only its scratch memory: with that growing, what was kept would be lost. */
static enum status each_model(struct engine *engine, bool scratch_only) {
  for (size_t i = 0; i < engine->residence.count; i++) {
    const struct resident *resident = &engine->residence.rows[i];
    struct task task;
    if (resident->presence != AT_HOME || resident_side(resident) > resident->max_side) {
      continue; /* not here, or never asked for */
    }
    TRY(open_task(engine, resident, &task));
    enum status status = scratch_reserve(engine, &task.recipe->stage[0]);
    status = status == OK && !scratch_only ? warm(engine, &task) : status;
    task_close(&task);
    TRY(status);
  }
  return OK;
}

/* Scratch is not kept: small pictures may be all that is asked for, and there may be little room.
 * What there is no room for is left to the first job. */
static enum status warm_briefly(struct engine *engine) {
  enum status status = each_model(engine, false);
  if (status != OK && status != EXHAUSTED) {
    return status;
  }
  return scratch_close(engine);
}

enum status warmup(struct engine *engine) {
  if (device_keeps_sequences(engine->settings.device)) {
    TRY(each_model(engine, true));
    return each_model(engine, false);
  }
  return device_prepares(engine->settings.device) ? warm_briefly(engine) : OK;
}
