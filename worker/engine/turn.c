/* turn.c - one turn: whoever is due first decides whether it is a U-Net batch or a decode, and all
 * that fit go along. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "kernels/ops.h"
#include "worker/engine/state.h"

#define NS_PER_US 1000
#define DECODE_ROWS 3 /* rows of a U-Net call that a decode is as much work as (SD 1.5) */

/* ---- admitted images that wait for a slot ---- */

/* The task whose next image should begin: higher class, then earlier admitted. NULL when none
 * waits. */
static struct task *first_waiting(struct engine *engine) {
  struct task *first = NULL;
  for (int i = 0; i < SAMPLES_MAX; i++) {
    struct task *task = &engine->tasks[i];
    if (!task->taken || task->images_begun == task->images) {
      continue;
    }
    bool earlier = first == NULL || task->weight > first->weight ||
                   (task->weight == first->weight && task->order < first->order);
    first = earlier ? task : first;
  }
  return first;
}

static void begin_waiting(struct engine *engine) {
  for (struct task *task = first_waiting(engine); task != NULL; task = first_waiting(engine)) {
    enum status status = image_begin(engine, task);
    if (status == EXHAUSTED && batch_head(engine->samples, engine->settings.slots) != NULL) {
      return; /* until one of those that run has ended */
    }
    if (status != OK) {
      task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
                DARKROOM__V1__ERROR_CODE__ERROR_ENGINE, fail_reason());
    }
  }
}

/* ---- how long it takes ---- */

static struct pace_work work_of(const struct task *task, enum pace_kind kind, int rows) {
  return (struct pace_work){task->resident, kind, task_cells(task), rows};
}

/* From here to the end of the turn the parent knows how long we should be. Gives the time. */
static int64_t expect(struct engine *engine, const struct pace_work *work) {
  pulse_expect(engine->settings.pulse, pace_expect(&engine->pace, work));
  return clock_ns();
}

static uint64_t took(struct engine *engine, const struct pace_work *work, int64_t began_ns) {
  uint64_t us = (uint64_t)((clock_ns() - began_ns) / NS_PER_US);
  pace_note(&engine->pace, work, us);
  return us;
}

/* ---- a batch ---- */

static void fail_batch(struct engine *engine, const struct batch *batch) {
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  for (int i = 0; i < batch->count; i++) {
    struct task *task = batch->samples[i]->task;
    if (task != NULL) { /* an image of the same job may have come before */
      task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
                DARKROOM__V1__ERROR_CODE__ERROR_ENGINE, reason);
    }
  }
}

/* A sample that has become infinite ends its job here, and only that. */
static void check_finite(struct engine *engine, const struct batch *batch) {
  for (int i = 0; i < batch->count; i++) {
    const struct sample *sample = batch->samples[i];
    if (sample->task != NULL && batch->finite[i] == 0) {
      task_fail(engine, sample->task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
                DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC, "the latent image is not finite");
    }
  }
}

static void tell_steps(struct engine *engine, const struct batch *batch) {
  for (int i = 0; i < batch->count; i++) {
    struct task *task = batch->samples[i]->task;
    if (task != NULL && task->steps_told != task->steps_done) {
      task->steps_told = task->steps_done;
      engine->listener.step(engine->listener.context, task->id, task->fence, task->steps_done,
                            task_steps(task));
    }
  }
}

/* The work is paid by the image's lane and by the image. Gives when the image, or the next one of
 * its job, is due. */
static double pay(struct engine *engine, const struct sample *sample, int64_t rows) {
  struct lane *lane = sample->task->lane;
  double work = (double)(rows * task_cells(sample->task));
  lane->due += work / lane->weight;
  lane->now += work / lane_samples(engine, lane);
  return sample->due + work;
}

/* Books the work and the time. */
static void charge(struct engine *engine, const struct batch *batch, int64_t began_ns,
                   uint64_t took_us) {
  int64_t ended_ns = began_ns + (int64_t)took_us * NS_PER_US;
  for (int i = 0; i < batch->count; i++) {
    struct sample *sample = batch->samples[i];
    struct task *task = sample->task;
    sample->due = pay(engine, sample, task_rows(task));
    task->denoise_began_ns = task->denoise_began_ns == 0 ? began_ns : task->denoise_began_ns;
    task->denoise_ended_ns = ended_ns;
  }
  engine->listener.turn(engine->listener.context, (uint32_t)batch->rows, (uint32_t)batch->count,
                        took_us);
}

/* As many as fit into a turn and into memory. Those left behind are due before those that went, so
 * they go first next time. */
static void gather(struct engine *engine, struct sample *head, struct batch *out) {
  const struct task *task = head->task;
  struct pace_work work = work_of(task, PACE_STEP, 0);
  int rows = pace_rows(&engine->pace, &work, task_rows(task), task->rows_max);
  batch_gather(head, engine->samples, engine->settings.slots, rows, out);
}

static enum status step_turn(struct engine *engine, struct sample *head) {
  struct batch batch;
  gather(engine, head, &batch);
  struct pace_work work = work_of(head->task, PACE_STEP, batch.rows);
  int64_t began = expect(engine, &work);
  enum status status = batch_run(&batch, engine->settings.device, engine->scratch, &engine->room);
  if (status == BROKEN) {
    return BROKEN;
  }
  if (status != OK) {
    fail_batch(engine, &batch);
    return OK;
  }
  charge(engine, &batch, began, took(engine, &work, began));
  check_finite(engine, &batch);
  tell_steps(engine, &batch);
  return OK;
}

/* ---- a decode ---- */

/* Takes what a decode reads and writes. */
static enum status take_decode(struct engine *engine, const struct sample *sample,
                               struct decode *out) {
  const struct task *task = sample->task;
  struct device *device = engine->settings.device;
  const struct batch_row row = {.latents = sample->latents.data,
                                .scale = model_decode_scale(task->resident->model)};
  struct tensor on_device;
  TRY(tensor_take(engine->scratch, ELEMENT_U8, TENSOR_SHAPE(task->height, task->width, 3),
                  &out->pixels));
  TRY(tensor_take(engine->scratch, ELEMENT_I32, TENSOR_SHAPE(1), &out->finite));
  TRY(tensor_take(engine->scratch, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof row), &on_device));
  out->row = on_device.data;
  return device_put(device, &row, sizeof row, &on_device);
}

static enum status run_decode(struct engine *engine, const struct sample *sample) {
  struct device *device = engine->settings.device;
  struct decode decode;
  int32_t finite = 0;
  TRY(take_decode(engine, sample, &decode));
  TRY(model_decode(sample->task->resident->model, engine->scratch, &decode));
  TRY(device_get(device, &decode.finite, &finite, sizeof finite));
  TRY(device_get(device, &decode.pixels, engine->rgb, tensor_bytes(&decode.pixels)));
  return finite != 0 ? OK : fail_field(BAD_INPUT, "numeric", "the picture is not finite");
}

static enum status decode(struct engine *engine, const struct sample *sample) {
  struct arena_mark mark = arena_mark(engine->scratch);
  enum status status = run_decode(engine, sample);
  arena_release(engine->scratch, mark);
  return status;
}

/* A picture of one colour is what NaN and overflow look like after clamping. */
static bool is_flat(const uint8_t *rgb, const struct task *task) {
  size_t bytes = (size_t)task->width * (size_t)task->height * 3;
  return bytes > 3 && memcmp(rgb, rgb + 3, bytes - 3) == 0;
}

static void finish_task(struct engine *engine, struct task *task) {
  Darkroom__V1__Timings timings = DARKROOM__V1__TIMINGS__INIT;
  timings.has_encode_us = timings.has_denoise_us = timings.has_denoise_steps =
      timings.has_decode_us = 1;
  timings.encode_us = task->encode_us;
  timings.denoise_us = (uint64_t)((task->denoise_ended_ns - task->denoise_began_ns) / NS_PER_US);
  timings.denoise_steps = task->steps_done;
  timings.decode_us = task->decode_us;
  char id[sizeof task->id];
  memcpy(id, task->id, sizeof id);
  uint64_t fence = task->fence;
  task_drop(engine, task);
  engine->listener.finished(engine->listener.context, id, fence, &timings);
}

static enum status decode_turn(struct engine *engine, struct sample *sample) {
  struct task *task = sample->task;
  struct pace_work work = work_of(task, PACE_DECODE, 1);
  int64_t began = expect(engine, &work);
  enum status status = decode(engine, sample);
  if (status == BROKEN) {
    return BROKEN;
  }
  task->decode_us += took(engine, &work, began);
  task->due = pay(engine, sample, DECODE_ROWS);
  bool numeric = status == BAD_INPUT || (status == OK && is_flat(engine->rgb, task));
  if (numeric) {
    task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
              DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC,
              status == OK ? "the picture is of a single colour" : fail_reason());
    return OK;
  }
  if (status != OK) {
    task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
              DARKROOM__V1__ERROR_CODE__ERROR_ENGINE, fail_reason());
    return OK;
  }
  const struct engine_picture picture = {.id = task->id,
                                         .fence = task->fence,
                                         .seed = task->seed + sample->index,
                                         .index = sample->index,
                                         .width = (uint32_t)task->width,
                                         .height = (uint32_t)task->height,
                                         .rgb = engine->rgb};
  engine->listener.pixels(engine->listener.context, &picture);
  task->images_done++;
  image_end(engine, sample);
  if (task->images_done == task->images) {
    finish_task(engine, task);
  }
  return OK;
}

enum status engine_turn(struct engine *engine) {
  begin_waiting(engine);
  struct sample *head = batch_head(engine->samples, engine->settings.slots);
  if (head == NULL) {
    return OK;
  }
  engine->now = head->task->lane->due;
  enum status status = sample_ended(head) ? decode_turn(engine, head) : step_turn(engine, head);
  pulse_expect(engine->settings.pulse, 0);
  return status;
}
