/* solo.c - a table of what is done for one image at a time. */
#include "worker/engine/solo.h"

#include "base/clock.h"
#include "worker/engine/admission.h"
#include "worker/engine/decodes.h"
#include "worker/engine/encodes.h"
#include "worker/engine/expectation.h"
#include "worker/engine/handover.h"

static const struct solo {
  enum pace_kind pace;
  int rows; /* of a U-Net call that it is as much work as (SD 1.5) */
  enum status (*run)(struct engine *engine, struct sample *sample, struct flight *flight);
  enum status (*read)(struct engine *engine, struct sample *sample, struct flight *flight,
                      uint64_t took_us);
} solos[] = {
    [NEED_ENCODE] = {PACE_ENCODE, 2, encodes_run, encodes_read},
    [NEED_FETCH] = {PACE_FETCH, 0, handover_run, handover_read},
    [NEED_DECODE] = {PACE_DECODE, 3, decodes_run, decodes_read},
};

/* ---- queueing ---- */

/* The steps run on another queue, as do the copies to its memory: it waits there for the last of
 * them. */
static enum status follow(struct engine *engine, struct sample *sample) {
  const struct flight *last = flight_numbered(&engine->flights, sample->last_turn);
  TRY(last != NULL ? event_follow(last->event) : OK);
  return sample->arrival != NULL ? event_follow(sample->arrival) : OK;
}

static enum status queue(struct engine *engine, struct sample *sample, struct flight *flight) {
  flight->follows = sample->last_turn;
  TRY(follow(engine, sample));
  TRY(solos[flight->need].run(engine, sample, flight));
  return flight_depart(&engine->flights, flight);
}

static void board(struct engine *engine, struct sample *sample, struct flight *flight) {
  struct task *task = sample->task;
  double work = (double)(solos[flight->need].rows * stage_cells(sample_stage(sample)));
  lane_pay(task->lane, lane_samples(task->lane, engine->samples, engine->settings.slots), work);
  sample->due += work;
  task->due = sample->due > task->due ? sample->due : task->due;
  sample->away = true;
  flight_board(flight, sample, false);
}

enum status solo_queue(struct engine *engine, struct sample *sample) {
  struct device *device = engine->settings.device;
  struct flight *flight = flight_free(&engine->flights, QUEUE_DECODES);
  flight->need = sample_needs(sample);
  flight->work = work_of(sample_stage(sample), solos[flight->need].pace, 1);
  expect_more(engine, &flight->work);
  flight->queued_ns = clock_ns();
  device_use(device, QUEUE_DECODES);
  enum status status = queue(engine, sample, flight);
  device_use(device, QUEUE_STEPS);
  if (status == OK) {
    board(engine, sample, flight);
    return OK;
  }
  return status == BROKEN ? BROKEN : task_fail_queued(engine, sample->task, status);
}

/* ---- reading ---- */

enum status solo_read(struct engine *engine, struct flight *flight, uint64_t took_us) {
  const struct passenger *passenger = &flight->passenger[0];
  pace_note(&engine->pace, &flight->work, took_us);
  if (!passenger_here(passenger)) {
    return OK;
  }
  passenger->sample->away = false;
  return solos[flight->need].read(engine, passenger->sample, flight, took_us);
}
