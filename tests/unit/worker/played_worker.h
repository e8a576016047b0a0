/* played_worker.h - a worker between a broker and an engine that a test plays, on a clock that the
 * test moves; its media tasks are kept in a list instead of being done.
 *
 * Include after cmocka.h, in a test program itself: the media pool's functions are defined here, so
 * that the real pool is not linked.
 */
#ifndef DARKROOM_TESTS_UNIT_WORKER_PLAYED_WORKER_H
#define DARKROOM_TESTS_UNIT_WORKER_PLAYED_WORKER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "tests/unit/worker/played.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/offers.h"
#include "worker/orders.h"

enum { SLOTS = 4, GENERATION = 7, BEAT_MS = 5000, PROGRESS_MS = 250, SIDE = 8 };
enum { SENT_MAX = 64, TASK_BYTES_MAX = 1 << 20 };

static struct played broker;
static struct pipe engine; /* its end of the pipe */
static struct worker worker;
static struct options options;
static struct models_table table;
static struct media_task *sent[SENT_MAX]; /* what media was given, and has not handed back */
static size_t sent_count;
static struct media_task *handed_back;
static char abandoned[128]; /* whose fetch was given up last */

/* ---- media ---- */

struct media_task *media_task(enum media_kind kind, const char *id, uint64_t fence) {
  struct media_task *task = calloc(1, sizeof *task);
  task->kind = kind;
  task->fence = fence;
  snprintf(task->id, sizeof task->id, "%s", id);
  task->descriptor = -1;
  bytes_open(&task->assign, TASK_BYTES_MAX);
  bytes_open(&task->payload, TASK_BYTES_MAX);
  bytes_open(&task->pixels, TASK_BYTES_MAX);
  bytes_open(&task->file, TASK_BYTES_MAX);
  return task;
}
void media_task_close(struct media_task **pointer) {
  struct media_task *task = *pointer;
  if (task != NULL) {
    bytes_close(&task->assign);
    bytes_close(&task->payload);
    bytes_close(&task->pixels);
    bytes_close(&task->file);
    free(task);
  }
  *pointer = NULL;
}
void media_send(struct media *media, struct media_task *task) {
  (void)media;
  assert_true(sent_count < SENT_MAX);
  sent[sent_count++] = task;
}
void media_abandon(struct media *media, const char *id, uint64_t fence) {
  (void)media;
  snprintf(abandoned, sizeof abandoned, "%s.%llu", id, (unsigned long long)fence);
}
struct media_task *media_take(struct media *media) {
  (void)media;
  struct media_task *task = handed_back;
  handed_back = NULL;
  return task;
}

/* The first task of this kind that is out, taken from the list; NULL when there is none. */
static inline struct media_task *sent_take(enum media_kind kind) {
  for (size_t i = 0; i < sent_count; i++) {
    if (sent[i]->kind == kind) {
      struct media_task *task = sent[i];
      memmove(&sent[i], &sent[i + 1], (--sent_count - i) * sizeof sent[0]);
      return task;
    }
  }
  return NULL;
}

/* ---- the worker ---- */

static inline int setup(void **state) {
  (void)state;
  static const char *endpoints[1];
  static const struct worker_devices devices = {.row = {{.name = "cpu", .open = "cpu"}},
                                                .count = 1};
  int pair[2];
  played_open(&broker);
  endpoints[0] = broker.endpoint;
  clock_hold(100000, 100000);
  options = (struct options){.name = "w1",
                             .spool_images = 8,
                             .spool_mib = 64,
                             .progress_ms = PROGRESS_MS,
                             .drain_seconds = 12};
  options.store = "file:/nowhere";
  worker = (struct worker){.options = &options, .table = &table, .beat_ms = BEAT_MS};
  children_open(&worker.children, &devices);
  struct child *child = &worker.children.child[0];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  assert_int_equal(pipe_open(&child->pipe, pair[0]), OK);
  assert_int_equal(pipe_open(&engine, pair[1]), OK);
  child->state = CHILD_READY;
  child->slots = SLOTS;
  child->model_count = 1;
  child->model[0] = (struct child_model){"m", "hash", "sd1", 128, 256};
  struct dealer_options brokers = {.endpoints = endpoints, .count = 1};
  assert_int_equal(link_open(&worker.link, &brokers, 60000), OK);
  return arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &worker.scratch) == OK ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker.held, &at)) != NULL;) {
    held_drop(held);
  }
  for (; sent_count > 0; sent_count--) {
    media_task_close(&sent[sent_count - 1]);
  }
  pipe_close(&worker.children.child[0].pipe);
  pipe_close(&engine);
  link_close(&worker.link);
  arena_close(&worker.scratch);
  played_close(&broker);
  clock_let_go();
  return 0;
}

static inline void say_all(void) { offers_tend(&worker, clock_ms()); }

/* Takes what the broker has said so far, and answers. */
static inline void hear_out(void) {
  assert_true(played_wait(worker.link.dealer.socket, PLAYED_WAIT_MS));
  assert_int_equal(orders_take_all(&worker), OK);
  say_all();
}

#endif
