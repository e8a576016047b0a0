/* admission.c - jobs come, their images get slots, and they leave. */
#include "worker/engine/admission.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "worker/engine/arrivals.h"
#include "worker/engine/beginning.h"
#include "worker/engine/glimpses.h"
#include "worker/engine/memory.h"

/* ---- what it says of itself ---- */

struct engine_listener engine_listen(struct engine *engine,
                                     const struct engine_listener *listener) {
  struct engine_listener before = engine->listener;
  engine->listener = *listener;
  return before;
}

void engine_model_info(const struct engine *engine, size_t index, Darkroom__V1__ModelInfo *out) {
  assert(index < engine->residence.count);
  resident_info(&engine->residence.rows[index], out);
}

/* ---- images ---- */

enum status image_begin(struct engine *engine, struct task *task) {
  for (int i = 0; i < engine->settings.slots; i++) {
    struct sample *sample = &engine->samples[i];
    if (sample->task != NULL) {
      continue;
    }
    size_t bytes = sample_bytes(task->recipe);
    TRY(conditionings_make_room(engine->conditionings, bytes));
    enum status status =
        sample_open(sample, engine->settings.device, task, task->images_begun, &engine->room);
    if (status != OK) {
      budget_give(&engine->budget, bytes);
      return status;
    }
    sample->life = ++engine->lives;
    lane_wake(task->lane, lane_samples(task->lane, engine->samples, engine->settings.slots),
              engine->now);
    sample->due = task->due > task->lane->now ? task->due : task->lane->now;
    task->images_begun++;
    return OK;
  }
  return fail(EXHAUSTED, "all %d slots are taken", engine->settings.slots);
}

void image_end(struct engine *engine, struct sample *sample) {
  size_t bytes = sample_bytes(sample->task->recipe);
  if (flight_numbered(&engine->flights, sample->last_turn) != NULL) {
    leaving_add(&engine->leaving, sample, bytes);
    return;
  }
  sample_close(sample);
  budget_give(&engine->budget, bytes);
}

/* ---- the end of a task ---- */

void task_drop(struct engine *engine, struct task *task) {
  for (int i = 0; i < engine->settings.slots; i++) {
    if (engine->samples[i].task == task) {
      image_end(engine, &engine->samples[i]);
    }
  }
  task_close(task);
}

static void tell_failed(struct engine *engine, const char *id, uint64_t fence,
                        Darkroom__V1__FailKind kind, const struct refusal *why) {
  Darkroom__V1__Error error = refusal_error(why);
  engine->listener.failed(engine->listener.context, id, fence, kind, &error);
}

void task_fail(struct engine *engine, struct task *task, Darkroom__V1__FailKind kind,
               Darkroom__V1__ErrorCode code, const char *reason) {
  struct refusal why = {.code = code};
  snprintf(why.message, sizeof why.message, "%s", reason);
  text_clean(why.message);
  char id[sizeof task->id];
  snprintf(id, sizeof id, "%s", task->id);
  uint64_t fence = task->fence;
  task_drop(engine, task); /* first, so that its slots are free when the listener hears of it */
  tell_failed(engine, id, fence, kind, &why);
}

static Darkroom__V1__ErrorCode code_of(enum status status) {
  return status == EXHAUSTED ? DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED
                             : DARKROOM__V1__ERROR_CODE__ERROR_ENGINE;
}

/* A part of the turn may run: it must not find its memory in other hands. */
enum status task_fail_queued(struct engine *engine, struct task *task, enum status status) {
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  if (device_wait(engine->settings.device) == BROKEN) {
    return BROKEN;
  }
  task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY, code_of(status), reason);
  return OK;
}

/* ---- admission ---- */

/* An order that is being admitted. */
struct coming {
  const Darkroom__V1__Job *job;
  const struct engine_inputs *inputs;
  struct task *task;
};

static enum status take_all(struct engine *engine, const struct coming *coming) {
  struct recipe *recipe = coming->task->recipe;
  for (int i = 0; i < recipe->stages; i++) {
    TRY(scratch_reserve(engine, &recipe->stage[i]));
  }
  const struct makers makers = {engine->settings.device, &engine->budget,
                                engine->conditionings,   engine->adapters,
                                engine->words,           engine->scratch[QUEUE_STEPS].arena,
                                coming->task->fence};
  TRY(task_prepare(coming->task, &makers, coming->job, coming->inputs));
  TRY(glimpses_prepare(engine, recipe));
  return image_begin(engine, coming->task);
}

static bool waits_for_adapters(struct engine *engine, const struct coming *coming) {
  struct merges *merges = adapters_merges(engine->adapters);
  return merges_expected(merges, coming->task->id, coming->task->fence);
}

/* Takes everything that the job needs to run to its end. When nobody else is here, scratch left
 * over from larger pictures need not stay. */
static enum status promise(struct engine *engine, const struct coming *coming, bool alone) {
  enum status status = take_all(engine, coming);
  if (status != EXHAUSTED || !alone || !scratch_any(engine) || waits_for_adapters(engine, coming)) {
    return status;
  }
  TRY(scratch_close(engine));
  return take_all(engine, coming);
}

static void tell_notes(struct engine *engine, const struct task *task) {
  const struct notes *notes = &task->recipe->notes;
  for (int i = 0; engine->listener.warning != NULL && i < notes->count; i++) {
    engine->listener.warning(engine->listener.context, task->id, task->fence, notes->text[i]);
  }
}

/* Also a turn whose jobs have all left is still to be read. */
static bool anyone_here(const struct engine *engine) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      return true;
    }
  }
  return flights_any(&engine->flights);
}

static struct task *find_task(struct engine *engine, const char *id, uint64_t fence) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    struct task *task = &engine->tasks[i];
    if (task->taken && task->fence == fence && strcmp(task->id, id) == 0) {
      return task;
    }
  }
  return NULL;
}

static struct task *find_free_task(struct engine *engine) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (!engine->tasks[i].taken) {
      return &engine->tasks[i];
    }
  }
  return NULL;
}

/* The job cannot be done here: says so once and for all. */
static enum status refuse_job(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence,
                              Darkroom__V1__FailKind kind, const struct refusal *why) {
  tell_failed(engine, job->id != NULL ? job->id : "", fence, kind, why);
  return fail_field(BAD_INPUT, why->field, "%s", why->message);
}

/* Why a sound task could not begin: a prompt that the model cannot take, weights that could not be
 * made, or more memory than there will ever be. */
static enum status refuse_promise(struct engine *engine, const Darkroom__V1__Job *job,
                                  uint64_t fence, enum status status) {
  struct refusal why = {.code = DARKROOM__V1__ERROR_CODE__ERROR_ENGINE};
  snprintf(why.message, sizeof why.message, "%s", fail_reason());
  text_clean(why.message); /* it may name what a file calls its tensors */
  if (status == BAD_INPUT) {
    why.code = DARKROOM__V1__ERROR_CODE__ERROR_FIELD;
    const char *field = fail_field_name();
    snprintf(why.field, sizeof why.field, "%s", field[0] != '\0' ? field : "prompt");
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT, &why);
  }
  if (status == UNAVAILABLE || (status == EXHAUSTED && !engine_busy(engine))) {
    why.code = DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED;
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_RETRY, &why);
  }
  return status;
}

static enum status take(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence,
                        const struct engine_inputs *inputs) {
  struct task *task = find_free_task(engine);
  if (task == NULL || engine_free_slots(engine) == 0) {
    return fail(EXHAUSTED, "all %d slots are taken or promised", engine->settings.slots);
  }
  struct refusal why = {0};
  bool alone = !anyone_here(engine);
  enum status status = task_open(&engine->residence, job, inputs, &why, task);
  if (status == BAD_INPUT) {
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT, &why);
  }
  TRY(status);
  status = arrivals_check(engine, task, &why);
  if (status != OK) {
    task_close(task);
    return status == BAD_INPUT
               ? refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_RETRY, &why)
               : status;
  }
  task->fence = fence;
  task->order = engine->admitted++;
  task->lane = lane_of(engine->lanes, task->weight);
  engine->alone = alone;
  status = promise(engine, &(struct coming){job, inputs, task}, alone);
  engine->alone = false;
  if (status != OK) {
    task_close(task);
    return refuse_promise(engine, job, fence, status);
  }
  arrivals_note(engine, task);
  engine->listener.started(engine->listener.context, task->id, fence);
  tell_notes(engine, task);
  return OK;
}

enum status engine_admit(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence,
                         const struct engine_inputs *inputs) {
  if (job->id != NULL && find_task(engine, job->id, fence) != NULL) {
    return OK;
  }
  enum status status = take(engine, job, fence, inputs);
  if (status != EXHAUSTED) {
    merges_settle(adapters_merges(engine->adapters), job->id, fence);
  }
  return status;
}

void engine_stop(struct engine *engine, const char *id, uint64_t fence) {
  struct task *task = find_task(engine, id, fence);
  if (task != NULL) {
    task_drop(engine, task);
  }
}

bool engine_busy(const struct engine *engine) {
  return anyone_here(engine) || arrivals_any(engine) ||
         merges_under_way(adapters_merges(engine->adapters));
}

/* Images that wait inside for a slot have a claim on the next ones that become free. */
int engine_free_slots(const struct engine *engine) {
  int64_t free_slots = engine->settings.slots;
  for (int i = 0; i < SAMPLES_MAX; i++) {
    const struct task *task = &engine->tasks[i];
    free_slots -= task->taken ? (int64_t)task->images - task->images_done : 0;
  }
  return free_slots > 0 ? (int)free_slots : 0;
}
