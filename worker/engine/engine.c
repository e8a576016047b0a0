/* engine.c - opening, admission and leaving; what happens in between is turn.c. */
#include "worker/engine/engine.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "worker/engine/known_answer.h"
#include "worker/engine/memory.h"
#include "worker/engine/state.h"

#define PROCESS_BYTES_MAX ((size_t)512 * 1024 * 1024)

/* ---- opening ---- */

static enum status check_settings(const struct engine_settings *settings) {
  if (settings->slots < 1 || settings->slots > SAMPLES_MAX) {
    return fail_field(BAD_INPUT, "slots", "slots %d are not in 1..%d", settings->slots,
                      SAMPLES_MAX);
  }
  if (settings->batch_rows < 2 || settings->batch_rows > BATCH_ROWS_MAX) {
    return fail_field(BAD_INPUT, "batch_rows", "batch_rows %d are not in 2..%d",
                      settings->batch_rows, BATCH_ROWS_MAX);
  }
  if (settings->max_side < JOB_SIDE_PIXELS_MIN || settings->max_side > JOB_SIDE_PIXELS_MAX) {
    return fail_field(BAD_INPUT, "max_side", "max_side %d is not in %d..%d", settings->max_side,
                      JOB_SIDE_PIXELS_MIN, JOB_SIDE_PIXELS_MAX);
  }
  return OK;
}

/* The host's buffers are as large as the largest picture of any model, taken once. */
static enum status take_room(struct engine *engine) {
  size_t values = 0, pixels = 0;
  for (size_t i = 0; i < engine->residence.count; i++) {
    const struct resident *resident = &engine->residence.rows[i];
    size_t side = (size_t)resident->max_side;
    size_t cells = side / (size_t)resident->family->scale_factor;
    size_t wanted = cells * cells * (size_t)resident->family->vae.latent_channels;
    values = wanted > values ? wanted : values;
    pixels = side * side > pixels ? side * side : pixels;
  }
  engine->room.values = arena_take(engine->memory, values * sizeof(float));
  engine->room.scratch = arena_take(engine->memory, values * sizeof(float));
  engine->rgb = arena_take(engine->memory, pixels * 3);
  return engine->room.values != NULL && engine->room.scratch != NULL && engine->rgb != NULL
             ? OK
             : EXHAUSTED;
}

static enum status fill(struct engine *engine) {
  const struct engine_settings *settings = &engine->settings;
  TRY(check_settings(settings));
  TRY(residence_open(engine->memory, settings->device, settings->models, settings->model_count,
                     &engine->residence));
  TRY(memory_share(engine));
  TRY(take_room(engine));
  TRY(conditionings_open(engine->memory, settings->device, &engine->budget,
                         &engine->conditionings));
  for (size_t i = 0; i < engine->residence.count; i++) {
    TRY(known_answer_check(engine, &engine->listener, &engine->residence.rows[i]));
  }
  return OK;
}

enum status engine_open(const struct engine_settings *settings,
                        const struct engine_listener *listener, struct engine **out) {
  struct arena *memory = NULL;
  TRY(arena_open(NULL, PROCESS_BYTES_MAX, &memory));
  struct engine *engine = arena_take_zeroed(memory, sizeof *engine);
  if (engine == NULL) {
    arena_close(&memory);
    return EXHAUSTED;
  }
  engine->memory = memory;
  engine->settings = *settings;
  engine->listener = *listener;
  enum status status = fill(engine);
  if (status != OK) {
    engine_close(&engine);
    return status;
  }
  *out = engine;
  return OK;
}

void engine_close(struct engine **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct engine *engine = *pointer;
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      task_drop(engine, &engine->tasks[i]);
    }
  }
  conditionings_close(&engine->conditionings);
  residence_close(&engine->residence);
  arena_close(&engine->scratch);
  struct arena *memory = engine->memory;
  arena_close(&memory);
  *pointer = NULL;
}

void engine_model_info(const struct engine *engine, size_t index, Darkroom__V1__ModelInfo *out) {
  assert(index < engine->residence.count);
  const struct resident *resident = &engine->residence.rows[index];
  *out = (Darkroom__V1__ModelInfo)DARKROOM__V1__MODEL_INFO__INIT;
  out->id = (char *)resident->id; /* packing only reads the texts */
  out->sha256 = (char *)resident->sha256;
  out->family = (char *)resident->family->name;
  out->has_default_side = out->has_max_side = 1;
  out->default_side = (uint32_t)resident_side(resident);
  out->max_side = (uint32_t)resident->max_side;
}

/* ---- lanes ---- */

/* A lane is opened for each weight that comes by: there are as many as classes. */
static struct lane *lane_of(struct engine *engine, double weight) {
  int i = 0;
  while (engine->lanes[i].weight > 0 && engine->lanes[i].weight != weight) {
    i++;
    assert(i < LANES);
  }
  engine->lanes[i].weight = weight;
  return &engine->lanes[i];
}

int lane_samples(const struct engine *engine, const struct lane *lane) {
  int count = 0;
  for (int i = 0; i < engine->settings.slots; i++) {
    const struct task *task = engine->samples[i].task;
    count += task != NULL && task->lane == lane;
  }
  return count;
}

/* One that had nothing to do has saved nothing up. */
static void wake_lane(const struct engine *engine, struct lane *lane) {
  if (lane_samples(engine, lane) <= 1 && lane->due < engine->now) { /* the one that begins */
    lane->due = engine->now;
  }
}

enum status image_begin(struct engine *engine, struct task *task) {
  for (int i = 0; i < engine->settings.slots; i++) {
    struct sample *sample = &engine->samples[i];
    if (sample->task != NULL) {
      continue;
    }
    size_t bytes = sample_bytes(task);
    TRY(conditionings_make_room(engine->conditionings, bytes));
    enum status status =
        sample_open(sample, engine->settings.device, task, task->images_begun, &engine->room);
    if (status != OK) {
      budget_give(&engine->budget, bytes);
      return status;
    }
    wake_lane(engine, task->lane);
    sample->due = task->due > task->lane->now ? task->due : task->lane->now;
    task->images_begun++;
    return OK;
  }
  return fail(EXHAUSTED, "all %d slots are taken", engine->settings.slots);
}

void image_end(struct engine *engine, struct sample *sample) {
  budget_give(&engine->budget, sample_bytes(sample->task));
  sample_close(sample);
}

/* ---- admission ---- */

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
  char id[sizeof task->id];
  snprintf(id, sizeof id, "%s", task->id);
  uint64_t fence = task->fence;
  task_drop(engine, task); /* first, so that its slots are free when the listener hears of it */
  tell_failed(engine, id, fence, kind, &why);
}

/* Takes everything that the job needs to run to its end. When nobody else is here, scratch left
 * over from larger pictures need not stay. */
static enum status promise(struct engine *engine, struct task *task, bool alone) {
  enum status status = scratch_reserve(engine, task);
  status = status == OK ? task_condition(task, engine->conditionings, engine->scratch) : status;
  status = status == OK ? image_begin(engine, task) : status;
  if (status != EXHAUSTED || !alone || engine->scratch_bytes == 0) {
    return status;
  }
  scratch_close(engine);
  TRY(scratch_reserve(engine, task));
  TRY(task_condition(task, engine->conditionings, engine->scratch));
  return image_begin(engine, task);
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

/* Why a sound task could not begin: a prompt that the model cannot take, or more memory than there
 * will ever be. */
static enum status refuse_promise(struct engine *engine, const Darkroom__V1__Job *job,
                                  uint64_t fence, enum status status) {
  struct refusal why = {.code = DARKROOM__V1__ERROR_CODE__ERROR_ENGINE};
  snprintf(why.message, sizeof why.message, "%s", fail_reason());
  if (status == BAD_INPUT) {
    why.code = DARKROOM__V1__ERROR_CODE__ERROR_FIELD;
    snprintf(why.field, sizeof why.field, "prompt");
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT, &why);
  }
  if (status == EXHAUSTED && !engine_busy(engine)) {
    why.code = DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED;
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_RETRY, &why);
  }
  return status;
}

enum status engine_admit(struct engine *engine, const Darkroom__V1__Job *job, uint64_t fence) {
  if (job->id != NULL && find_task(engine, job->id, fence) != NULL) {
    return OK;
  }
  struct task *task = find_free_task(engine);
  if (task == NULL || engine_free_slots(engine) == 0) {
    return fail(EXHAUSTED, "all %d slots are taken or promised", engine->settings.slots);
  }
  struct refusal why = {0};
  bool alone = !engine_busy(engine);
  enum status status = task_open(&engine->residence, job, &why, task);
  if (status == BAD_INPUT) {
    return refuse_job(engine, job, fence, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT, &why);
  }
  TRY(status);
  task->fence = fence;
  task->order = engine->admitted++;
  task->lane = lane_of(engine, task->weight);
  status = promise(engine, task, alone);
  if (status != OK) {
    task_close(task);
    return refuse_promise(engine, job, fence, status);
  }
  engine->listener.started(engine->listener.context, task->id, fence);
  return OK;
}

void engine_stop(struct engine *engine, const char *id, uint64_t fence) {
  struct task *task = find_task(engine, id, fence);
  if (task != NULL) {
    task_drop(engine, task);
  }
}

bool engine_busy(const struct engine *engine) {
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      return true;
    }
  }
  return false;
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
