/* solo.c - a table of what is done for one image at a time. */
#include "worker/engine/solo.h"

#include "base/clock.h"
#include "worker/engine/admission.h"
#include "worker/engine/decodes.h"
#include "worker/engine/encodes.h"
#include "worker/engine/expectation.h"
#include "worker/engine/handover.h"
#include "worker/engine/tiles.h"

static const struct solo {
  enum pace_kind pace;
  double rows; /* of a U-Net call that it is as much work as (SD 1.5) */
  enum status (*run)(struct engine *engine, struct sample *sample, struct flight *flight);
  enum status (*read)(struct engine *engine, struct sample *sample, struct flight *flight,
                      uint64_t took_us);
} solos[] = {
    [NEED_ENCODE] = {PACE_ENCODE, 2, encodes_run, encodes_read},
    [NEED_FETCH] = {PACE_FETCH, 0, handover_run, handover_read},
    [NEED_DECODE] = {PACE_DECODE, 3, decodes_run, decodes_read},
};
/* By its multiplications, as those above: 75e9 for 512x512 pixels, a row of the U-Net has 340e9. */
#define TINY_ROWS 0.2

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

static void pay(struct engine *engine, struct sample *payer, double work) {
  struct task *task = payer->task;
  lane_pay(task->lane, lane_samples(task->lane, engine->samples, engine->settings.slots), work);
  payer->due += work;
  task->due = payer->due > task->due ? payer->due : task->due;
}

static double rows_worth(const struct sample *sample, const struct flight *flight) {
  double rows = flight->work.kind == PACE_TINY ? TINY_ROWS : solos[flight->need].rows;
  double whole = rows * (double)stage_cells(sample_stage(sample));
  return whole * tiles_part(sample, &flight->work);
}

static void board(struct sample *sample, struct flight *flight) {
  sample->away = true;
  flight_board(flight, sample, false);
}

static enum pace_kind pace_of(const struct sample *sample) {
  enum sample_need need = sample_needs(sample);
  return need == NEED_DECODE && sample_stage(sample)->tiny != NULL ? PACE_TINY : solos[need].pace;
}

static struct pace_work work_next(const struct engine *engine, const struct sample *sample) {
  return sample_in_tiles(sample) ? tiles_work(engine, sample)
                                 : work_of(sample_stage(sample), pace_of(sample), 1);
}

enum status solo_queue(struct engine *engine, struct sample *head) {
  struct device *device = engine->settings.device;
  struct flight *flight = flight_free(&engine->flights, QUEUE_DECODES);
  struct sample *sample = tiles_served(engine, head);
  flight->need = sample_needs(sample);
  flight->work = work_next(engine, sample);
  expect_more(engine, &flight->work);
  flight->queued_ns = clock_ns();
  device_use(device, QUEUE_DECODES);
  enum status status = queue(engine, sample, flight);
  device_use(device, QUEUE_STEPS);
  if (status == OK) {
    pay(engine, head, rows_worth(sample, flight));
    board(sample, flight);
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
