/* turn.c - one turn: whoever is due first decides whether it is a U-Net batch or a turn of his own,
 * and all that fit go along. */
#include "base/clock.h"
#include "worker/engine/admission.h"
#include "worker/engine/arrivals.h"
#include "worker/engine/expectation.h"
#include "worker/engine/solo.h"
#include "worker/engine/steps.h"
#include "worker/engine/tiles.h"

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

static bool any_under_way(const struct engine *engine) {
  for (int i = 0; i < engine->settings.slots; i++) {
    if (engine->samples[i].task != NULL) {
      return true;
    }
  }
  return flights_any(&engine->flights);
}

static enum status begin_waiting(struct engine *engine) {
  for (struct task *task = first_waiting(engine); task != NULL; task = first_waiting(engine)) {
    enum status status = image_begin(engine, task);
    if (status == EXHAUSTED && any_under_way(engine)) {
      return OK; /* until one of those that run has ended */
    }
    if (status == BROKEN) {
      return BROKEN;
    }
    if (status != OK) {
      task_fail(engine, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
                DARKROOM__V1__ERROR_CODE__ERROR_ENGINE, fail_reason());
    }
  }
  return OK;
}

/* ---- what has landed ---- */

static enum status read_flight(struct engine *engine, struct flight *flight, int64_t ended_ns) {
  int64_t began_ns = flight_began_ns(&engine->flights, flight);
  uint64_t took_us = flight_land(&engine->flights, flight, ended_ns);
  leaving_settle(&engine->leaving, &engine->flights, &engine->budget);
  if (flight->queue == QUEUE_DECODES) {
    return solo_read(engine, flight, took_us);
  }
  steps_read(engine, flight, began_ns, took_us);
  return OK;
}

/* How many of a queue have ended, first queued first. */
static enum status count_passed(struct engine *engine, enum queue queue,
                                struct flight *passed[FLIGHTS_OF_A_QUEUE], int *out) {
  int count = 0;
  struct flight *flight = flight_first(&engine->flights, queue);
  while (flight != NULL) {
    bool over = false;
    TRY(event_poll(flight->event, &over));
    if (!over || flight_numbered(&engine->flights, flight->follows) != NULL) {
      break;
    }
    passed[count++] = flight;
    flight = flight_after(&engine->flights, flight);
  }
  *out = count;
  return OK;
}

/* Those that ended since we looked last share the time by their rows: when the first of them ended
 * is not known. */
static enum status read_passed(struct engine *engine, enum queue queue) {
  struct flight *passed[FLIGHTS_OF_A_QUEUE];
  int count = 0, rows = 0;
  TRY(count_passed(engine, queue, passed, &count));
  for (int i = 0; i < count; i++) {
    rows += passed[i]->work.rows;
  }
  int64_t now = clock_ns();
  for (int i = 0; i < count; i++) {
    int64_t began = flight_began_ns(&engine->flights, passed[i]);
    int64_t ended = began + (now - began) / rows * passed[i]->work.rows;
    rows -= passed[i]->work.rows;
    TRY(read_flight(engine, passed[i], rows == 0 ? now : ended));
  }
  return OK;
}

/* Steps first: a decode follows the last steps of its image. */
static enum status read_all_passed(struct engine *engine) {
  TRY(read_passed(engine, QUEUE_STEPS));
  return read_passed(engine, QUEUE_DECODES);
}

/* There is nothing that could be queued now. Steps take less time than decodes, and there will be
 * room for the next one. */
static enum status wait_for_one(struct engine *engine) {
  struct flight *flight = flight_first(&engine->flights, QUEUE_STEPS);
  flight = flight != NULL ? flight : flight_first(&engine->flights, QUEUE_DECODES);
  if (flight == NULL) {
    return OK;
  }
  TRY(event_wait(flight->event));
  return read_flight(engine, flight, clock_ns());
}

/* ---- what is on its way ---- */

/* That loads may have of the device between two turns, and while there is nothing else: so soon are
 * orders read. */
#define SLICE_MS 100
#define IDLE_SLICE_MS 250

static enum status go_on_loading(struct engine *engine, bool idle) {
  struct merges *merges = adapters_merges(engine->adapters);
  int64_t slice_ms = idle ? IDLE_SLICE_MS : SLICE_MS;
  slice_ms /= engine->arrivals.load != NULL && merges_under_way(merges) ? 2 : 1;
  TRY(arrivals_turn(engine, slice_ms, idle));
  return merges_turn(merges, slice_ms, idle && engine->arrivals.load == NULL);
}

/* ---- the turn ---- */

static struct sample *next_head(struct engine *engine) {
  const struct batch_room room = {.steps = flight_free(&engine->flights, QUEUE_STEPS) != NULL,
                                  .decodes = flight_free(&engine->flights, QUEUE_DECODES) != NULL,
                                  .tiles = tiles_room(engine)};
  return batch_head(engine->samples, engine->settings.slots, room);
}

enum status engine_turn(struct engine *engine) {
  TRY(read_all_passed(engine));
  TRY(begin_waiting(engine));
  struct sample *head = next_head(engine);
  TRY(go_on_loading(engine, head == NULL && !flights_any(&engine->flights)));
  if (head == NULL) {
    TRY(wait_for_one(engine));
  } else {
    engine->now = head->task->lane->due;
    TRY(sample_needs(head) == NEED_STEP ? steps_queue(engine, head) : solo_queue(engine, head));
  }
  TRY(read_all_passed(engine));
  expect_rest(engine);
  return OK;
}
