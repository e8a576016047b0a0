/* steps.c - rows for the U-Net, and what became of them. */
#include "worker/engine/steps.h"

#include <stdio.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/engine/admission.h"
#include "worker/engine/expectation.h"
#include "worker/engine/glimpses.h"
#include "worker/engine/memory.h"

#define NS_PER_US 1000

/* ---- queueing ---- */

static enum status fail_batch(struct engine *engine, const struct batch *batch,
                              enum status status) {
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  for (int i = 0; i < batch->count; i++) {
    struct task *task = batch->samples[i]->task;
    if (task != NULL) { /* an image of the same job may have come before */
      (void)fail(status, "%s", reason);
      TRY(task_fail_queued(engine, task, status));
    }
  }
  return OK;
}

/* Whether any that may go along has adapters beside the layers. */
static bool any_adapted(struct engine *engine, const struct sample *head) {
  for (int i = 0; i < engine->settings.slots; i++) {
    const struct sample *sample = &engine->samples[i];
    if (sample->task != NULL && sample_stage(sample)->adapters != NULL &&
        bucket_same(&sample->bucket, &head->bucket)) {
      return true;
    }
  }
  return false;
}

/* So many rows of the head's kind. */
static struct pace_work step_work(const struct sample *head, int rows, bool adapted) {
  struct pace_work work = work_of(sample_stage(head), PACE_STEP, rows);
  work.nets = head->bucket.control_count;
  work.adapted = adapted;
  return work;
}

static bool is_adapted(const struct batch *batch) {
  for (int i = 0; i < batch->count; i++) {
    if (sample_stage(batch->samples[i])->adapters != NULL) {
      return true;
    }
  }
  return false;
}

/* As many as fit into a turn and into memory. Those left behind are due before those that went, so
 * they go first next time. */
static void gather(struct engine *engine, struct sample *head, struct batch *out) {
  const struct stage *stage = sample_stage(head);
  const struct pace_work work = step_work(head, 0, any_adapted(engine, head));
  int rows = pace_rows(&engine->pace, &work, stage_rows(stage), stage->rows_max);
  batch_gather(head, engine->samples, engine->settings.slots, rows, out);
  out->rows_max = stage->rows_max;
}

/* The device had no memory for a call of so many rows: half of them, then, for all of this shape.
 * False when one picture needs as many. */
static bool take_fewer(struct engine *engine, const struct sample *head, int rows) {
  const struct stage *stage = sample_stage(head);
  char bucket[BUCKET_TEXT_BYTES_MAX];
  if (rows <= stage_rows(stage)) {
    return false;
  }
  int fewer = rows / 2 > stage_rows(stage) ? rows / 2 : stage_rows(stage);
  log_warning("rows_lowered", log_text("model", stage->resident->id),
              log_text("bucket", bucket_print(&head->bucket, bucket)),
              log_number("width", stage->width), log_number("height", stage->height),
              log_number("rows", fewer), log_text("reason", fail_reason()));
  ceiling_lower(&engine->ceilings, &(struct ceiling){.model = stage->resident,
                                                     .height = stage->latent_height,
                                                     .width = stage->latent_width,
                                                     .rows = fewer});
  for (int i = 0; i < SAMPLES_MAX; i++) {
    if (engine->tasks[i].taken) {
      recipe_lower(engine->tasks[i].recipe, stage, fewer);
    }
  }
  return true;
}

/* The work is paid by the image's lane and by the image. */
static void pay(struct engine *engine, struct sample *sample) {
  struct lane *lane = sample->task->lane;
  const struct stage *stage = sample_stage(sample);
  double work = (double)(stage_rows(stage) * stage_cells(stage));
  lane_pay(lane, lane_samples(lane, engine->samples, engine->settings.slots), work);
  sample->due += work;
}

/* The call is queued: its results are received behind it, and all go on board. From here on the
 * samples are further, so nothing may fail that could be tried again. */
static enum status depart(struct engine *engine, const struct batch *batch,
                          const struct batch_outcome *outcome, struct flight *flight) {
  const struct tensor finite = tensor_rows(&outcome->finite, 0, batch->count);
  enum status status =
      device_receive(engine->settings.device, &finite, flight->finite, tensor_bytes(&finite));
  status = status == OK ? glimpses_receive(engine, batch, flight) : status;
  status = status == OK ? flight_depart(&engine->flights, flight) : status;
  if (status != OK) {
    return fail(BROKEN, "what a turn found out cannot be read: %s", fail_reason());
  }
  flight->rows = batch->rows;
  flight->follows = 0;
  for (int i = 0; i < batch->count; i++) {
    struct sample *sample = batch->samples[i];
    pay(engine, sample);
    flight_board(flight, sample, sample_advanced(sample));
  }
  return OK;
}

/* The head's turn once: EXHAUSTED means that it is to be tried again with fewer rows. */
static enum status try_queue(struct engine *engine, struct sample *head, struct flight *flight) {
  struct device *device = engine->settings.device;
  const struct workplace place = {device, scratch_of(engine, QUEUE_STEPS), engine->room};
  struct batch batch;
  struct batch_outcome outcome;
  gather(engine, head, &batch);
  int rows = batch_call_rows(device, batch.rows, batch.rows_max);
  flight->work = step_work(head, rows, is_adapted(&batch));
  expect_more(engine, &flight->work);
  flight->queued_ns = clock_ns();
  enum status status = batch_queue(&batch, &place, &outcome);
  if (status == OK) {
    return depart(engine, &batch, &outcome, flight);
  }
  if (status == BROKEN || (status == EXHAUSTED && take_fewer(engine, head, rows))) {
    return status;
  }
  return fail_batch(engine, &batch, status);
}

enum status steps_queue(struct engine *engine, struct sample *head) {
  struct flight *flight = flight_free(&engine->flights, QUEUE_STEPS);
  enum status status = EXHAUSTED;
  while (status == EXHAUSTED) { /* ends: each time there are fewer rows */
    status = try_queue(engine, head, flight);
  }
  return status;
}

/* ---- reading ---- */

/* Its job ends here, and only that. */
static void check_finite(struct engine *engine, const struct flight *flight) {
  for (int i = 0; i < flight->count; i++) {
    const struct passenger *passenger = &flight->passenger[i];
    if (passenger_here(passenger) && flight->finite[i] == 0) {
      task_fail(engine, passenger->sample->task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
                DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC, "the latent image is not finite");
    }
  }
}

static void count_steps(const struct flight *flight, int64_t began_ns, uint64_t took_us) {
  for (int i = 0; i < flight->count; i++) {
    const struct passenger *passenger = &flight->passenger[i];
    if (!passenger_here(passenger)) {
      continue;
    }
    struct task *task = passenger->sample->task;
    task->steps_done += passenger->step_ended;
    task->denoise_began_ns = task->denoise_began_ns == 0 ? began_ns : task->denoise_began_ns;
    task->denoise_ended_ns = began_ns + (int64_t)took_us * NS_PER_US;
  }
}

static void tell_steps(struct engine *engine, const struct flight *flight) {
  for (int i = 0; i < flight->count; i++) {
    const struct passenger *passenger = &flight->passenger[i];
    struct task *task = passenger_here(passenger) ? passenger->sample->task : NULL;
    if (task != NULL && task->steps_told != task->steps_done) {
      task->steps_told = task->steps_done;
      engine->listener.step(engine->listener.context, task->id, task->fence, task->steps_done,
                            task_steps(task));
    }
  }
}

void steps_read(struct engine *engine, struct flight *flight, int64_t began_ns, uint64_t took_us) {
  pace_note(&engine->pace, &flight->work, took_us);
  engine->listener.turn(engine->listener.context, (uint32_t)flight->rows, (uint32_t)flight->count,
                        took_us);
  count_steps(flight, began_ns, took_us);
  check_finite(engine, flight);
  tell_steps(engine, flight);
  glimpses_tell(engine, flight);
}
