/* played_job.h - the life of a job as broker and engine tell it to a played worker. Include after
 * played_worker.h's own place: it includes that. */
#ifndef DARKROOM_TESTS_UNIT_WORKER_PLAYED_JOB_H
#define DARKROOM_TESTS_UNIT_WORKER_PLAYED_JOB_H

#include "tests/unit/worker/played_worker.h"
#include "worker/pictures.h"
#include "worker/reports.h"

/* ---- the broker ---- */

static inline void welcome(void) {
  Darkroom__V1__Welcome message = DARKROOM__V1__WELCOME__INIT;
  say_all();
  played_hear(&broker, WIRE_HELLO);
  message.has_generation = 1;
  message.generation = GENERATION;
  played_say(&broker, WIRE_WELCOME, broker.message.correlation, &message.base);
  hear_out();
  played_hear(&broker, WIRE_CLAIM);
  worker.claim_due_ms = INT64_MAX; /* what is granted is not what these tests are about */
}

static char *assigned_tenant; /* of the jobs that are assigned from now on; NULL: none is said */

static inline struct held *assign(const char *id, uint64_t fence, uint32_t images) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign message = DARKROOM__V1__ASSIGN__INIT;
  job.id = (char *)id;
  job.tenant = assigned_tenant;
  job.model = (char *)"m";
  job.has_images = job.has_steps = job.has_width = job.has_height = job.has_seed = 1;
  job.images = images;
  job.steps = 10;
  job.width = job.height = SIDE;
  job.seed = 100;
  message.job = &job;
  message.has_fence = 1;
  message.fence = fence;
  played_say(&broker, WIRE_ASSIGN, worker.claim_correlation, &message.base);
  hear_out();
  struct held *held = held_find(&worker.held, id, fence);
  assert_non_null(held);
  return held;
}

/* Answers what the worker said last about a job. */
static inline void acknowledge(const char *id, uint64_t fence, Darkroom__V1__AckResult result) {
  Darkroom__V1__Ack ack = DARKROOM__V1__ACK__INIT;
  ack.id = (char *)id;
  ack.has_fence = ack.has_result = 1;
  ack.fence = fence;
  ack.result = result;
  played_say(&broker, WIRE_ACK, broker.message.correlation, &ack.base);
  hear_out();
}

static inline void order(const char *cancel, const char *stale) {
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  char *cancelled[] = {(char *)cancel}, *stales[] = {(char *)stale};
  orders.n_cancel = cancel != NULL;
  orders.cancel = cancelled;
  orders.n_stale = stale != NULL;
  orders.stale = stales;
  played_say(&broker, WIRE_ORDERS, broker.message.correlation, &orders.base);
  hear_out();
}

/* The next thing said about a job, which must be this verb. */
static inline const ProtobufCMessage *hear(enum wire_verb verb) {
  say_all();
  return played_hear(&broker, verb);
}

/* ---- the engine ---- */

/* The next order the engine has been given, or NULL; lives until the next call. */
static inline const Darkroom__Pipe__Order *engine_order(void) {
  ProtobufCMessage *message = NULL;
  arena_drop(broker.arena);
  assert_int_equal(pipe_receive(&engine), OK);
  assert_int_equal(pipe_take(&engine, &darkroom__pipe__order__descriptor, broker.arena, &message),
                   OK);
  return (const Darkroom__Pipe__Order *)message;
}

static inline void report(Darkroom__Pipe__Report *message) {
  assert_int_equal(pipe_send(&engine, &message->base), OK);
  reports_take_all(&worker, 0);
}

static inline void report_started(const char *id, uint64_t fence) {
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Started started = DARKROOM__PIPE__STARTED__INIT;
  started.id = (char *)id;
  started.has_fence = 1;
  started.fence = fence;
  message.started = &started;
  report(&message);
}

static inline void report_pixels(const char *id, uint64_t fence, uint32_t index, uint32_t width) {
  static uint8_t rgb[4 * SIDE * SIDE * 3];
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Pixels pixels = DARKROOM__PIPE__PIXELS__INIT;
  pixels.id = (char *)id;
  pixels.has_fence = pixels.has_index = pixels.has_width = pixels.has_height = pixels.has_rgb = 1;
  pixels.fence = fence;
  pixels.index = index;
  pixels.width = width;
  pixels.height = SIDE;
  pixels.rgb.data = rgb;
  pixels.rgb.len = (size_t)width * SIDE * 3;
  message.pixels = &pixels;
  report(&message);
}

static inline void report_finished(const char *id, uint64_t fence) {
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Finished finished = DARKROOM__PIPE__FINISHED__INIT;
  finished.id = (char *)id;
  finished.has_fence = 1;
  finished.fence = fence;
  message.finished = &finished;
  report(&message);
}

/* ---- media ---- */

/* Hands the first task of this kind back as done. */
static inline void done(enum media_kind kind) {
  struct media_task *task = sent_take(kind);
  assert_non_null(task);
  task->status = OK;
  task->encoded = task->spooled = true;
  task->file_bytes = 10;
  snprintf(task->url, sizeof task->url, "file:/nowhere/%u.png", (unsigned)task->index);
  snprintf(task->sha256, sizeof task->sha256, "%064u", (unsigned)task->index);
  handed_back = task;
  pictures_take_all(&worker);
}

/* The next picture that is out becomes a file in the spool, and then an object in the store. */
static inline void picture_done(void) {
  done(MEDIA_FINISH);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
}

#endif
