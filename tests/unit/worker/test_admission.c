/* test_admission.c - who enters an engine and when: the parent's table on one side, the engine's
 * end of its pipe on the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "worker/admission.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/outcome.h"
#include "worker/reports.h"

static struct worker worker;
static struct pipe engine[2]; /* their ends of the pipes */
static struct arena *arena;

static int setup(void **state) {
  (void)state;
  static const struct worker_devices devices = {
      .row = {{.name = "one", .open = "one"}, {.name = "two", .open = "two"}}, .count = 2};
  clock_hold(100000, 100000);
  worker = (struct worker){0};
  children_open(&worker.children, &devices);
  for (size_t i = 0; i < 2; i++) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pipe_open(&worker.children.child[i].pipe, pair[0]), OK);
    assert_int_equal(pipe_open(&engine[i], pair[1]), OK);
    worker.children.child[i].state = CHILD_READY;
    worker.children.child[i].slots = 4;
    worker.children.child[i].model_count = 1;
    snprintf(worker.children.child[i].model[0].id, JOB_MODEL_BYTES_MAX, "m");
  }
  return arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &arena) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker.held, &at)) != NULL;) {
    held_drop(held);
  }
  for (size_t i = 0; i < 2; i++) {
    pipe_close(&worker.children.child[i].pipe);
    pipe_close(&engine[i]);
  }
  arena_close(&arena);
  clock_let_go();
  return 0;
}

/* A job as an ASSIGN brings it. */
static struct held *give(const char *id, uint64_t fence, size_t child, bool alone) {
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  uint8_t packed[256];
  job.id = (char *)id;
  job.model = (char *)"m";
  job.has_images = 1;
  job.images = 1;
  assign.job = &job;
  assign.has_fence = 1;
  assign.fence = fence;
  struct held *held = held_take(&worker.held, packed, darkroom__v1__assign__pack(&assign, packed));
  assert_non_null(held);
  held->state = HELD_WAITING;
  held->child = child;
  held->alone = alone;
  return held;
}

/* What the engine is told next: "+id" to begin, "-id" to stop, "" nothing. */
static const char *told(size_t child) {
  static char text[80];
  ProtobufCMessage *message = NULL;
  text[0] = '\0';
  arena_drop(arena);
  assert_int_equal(pipe_receive(&engine[child]), OK);
  assert_int_equal(pipe_take(&engine[child], &darkroom__pipe__order__descriptor, arena, &message),
                   OK);
  const Darkroom__Pipe__Order *order = (const Darkroom__Pipe__Order *)message;
  if (order != NULL && order->admit != NULL) {
    snprintf(text, sizeof text, "+%s", order->admit->job->id);
  } else if (order != NULL && order->stop != NULL) {
    snprintf(text, sizeof text, "-%s", order->stop->id);
  }
  return text;
}

static void all_enter_at_once_who_may_share(void **state) {
  (void)state;
  give("a", 1, 0, false);
  give("b", 2, 0, false);
  give("c", 3, 1, false);
  worker.children.child[0].silent_ms = 5;
  admission_tend(&worker);
  assert_string_equal(told(0), "+a");
  assert_string_equal(told(0), "+b");
  assert_string_equal(told(1), "+c");
  assert_int_equal(worker.children.child[0].silent_ms, 0); /* it was idle until now */
}

static void a_suspect_waits_for_an_empty_engine_and_then_has_it_alone(void **state) {
  (void)state;
  struct held *first = give("first", 1, 0, false);
  give("elsewhere", 2, 1, false);
  admission_tend(&worker);
  assert_string_equal(told(0), "+first");
  assert_string_equal(told(1), "+elsewhere");
  struct held *suspect = give("suspect", 3, 0, true);
  give("later", 4, 0, false);
  admission_tend(&worker);
  assert_string_equal(told(0), ""); /* nor does the later one overtake it */
  first->state = HELD_STORING;      /* the engine is through with it */
  admission_tend(&worker);
  assert_string_equal(told(0), "+suspect");
  assert_string_equal(told(0), "");
  suspect->state = HELD_RUNNING;
  admission_tend(&worker);
  assert_string_equal(told(0), "");
  suspect->state = HELD_ENDING;
  admission_tend(&worker);
  assert_string_equal(told(0), "+later");
}

static void who_waits_goes_to_an_engine_that_falls_empty(void **state) {
  (void)state;
  struct held *here = give("here", 1, 0, false), *there = give("there", 2, 1, false);
  admission_tend(&worker);
  assert_string_equal(told(0), "+here");
  assert_string_equal(told(1), "+there");
  struct held *suspect = give("suspect", 3, 0, true);
  admission_tend(&worker);
  assert_int_equal(suspect->state, HELD_WAITING);
  there->state = HELD_STORING;
  worker.children.child[1].model_count = 0; /* it has not the model */
  admission_tend(&worker);
  assert_int_equal(suspect->state, HELD_WAITING);
  worker.children.child[1].model_count = 1;
  admission_tend(&worker);
  assert_string_equal(told(1), "+suspect");
  assert_int_equal(suspect->child, 1);
  assert_int_equal(here->state, HELD_ADMITTED);
}

static void suspects_run_one_after_another(void **state) {
  (void)state;
  give("busy", 1, 1, false);
  struct held *second = give("second", 8, 0, true); /* its row comes first */
  struct held *first = give("first", 7, 0, true);
  admission_tend(&worker);
  assert_string_equal(told(0), "+first");
  assert_string_equal(told(0), "");
  assert_int_equal(second->state, HELD_WAITING);
  first->state = HELD_LEAVING;
  admission_tend(&worker);
  assert_string_equal(told(0), "+second");
}

static void who_is_stopped_has_left_before_a_suspect_enters(void **state) {
  (void)state;
  give("busy", 9, 1, false);
  struct held *cancelled = give("cancelled", 1, 0, false);
  admission_tend(&worker);
  assert_string_equal(told(0), "+cancelled");
  give("suspect", 2, 0, true);
  job_fail(&worker, cancelled, DARKROOM__V1__FAIL_KIND__FAIL_CANCELLED,
           DARKROOM__V1__ERROR_CODE__ERROR_TERMINAL, "cancelled");
  admission_tend(&worker);
  assert_string_equal(told(0), "-cancelled"); /* first, in the same pipe */
  assert_string_equal(told(0), "+suspect");
}

static void nobody_enters_an_engine_that_has_gone(void **state) {
  (void)state;
  give("busy", 2, 1, false);
  admission_tend(&worker);
  struct held *held = give("a", 1, 0, false);
  worker.children.child[0].state = CHILD_LEAVING;
  admission_tend(&worker);
  assert_int_equal(held->state, HELD_WAITING);
  assert_string_equal(told(0), "");
}

/* What is said of each job of an engine that has ended. */
static void the_dead_engine(bool killed, Darkroom__V1__FailKind kind) {
  struct held *running = give("running", 1, 0, false);
  struct held *admitted = give("admitted", 2, 0, false);
  struct held *drawn = give("drawn", 3, 0, false);
  admission_tend(&worker);
  struct held *elsewhere = give("elsewhere", 5, 1, false);
  struct held *waiting = give("waiting", 4, 0, true);
  running->state = HELD_RUNNING;
  drawn->received = 1;
  drawn->sealed = true; /* in the spool already */
  drawn->picture[0].state = PICTURE_STORED;
  worker.children.child[0].killed = killed;
  worker.children.child[0].state = CHILD_AWAY;
  reports_child_ended(&worker, 0);
  assert_int_equal(running->offer.verb, WIRE_FAIL);
  assert_int_equal(running->fail_kind, kind);
  assert_int_equal(admitted->offer.verb,
                   WIRE_FAIL); /* it was in there: it may have been the cause */
  assert_int_equal(admitted->fail_kind, kind);
  assert_int_equal(drawn->offer.verb, WIRE_COMPLETE);
  assert_int_equal(waiting->offer.verb, WIRE_RELEASE); /* it was not */
  assert_int_equal(elsewhere->state, HELD_WAITING);
}

static void a_death_is_told_as_one(void **state) {
  (void)state;
  the_dead_engine(false, DARKROOM__V1__FAIL_KIND__FAIL_CRASH);
}

static void an_end_by_the_watchdog_is_told_as_a_loss(void **state) {
  (void)state;
  the_dead_engine(true, DARKROOM__V1__FAIL_KIND__FAIL_LOST);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(all_enter_at_once_who_may_share),
      TEST(a_suspect_waits_for_an_empty_engine_and_then_has_it_alone),
      TEST(who_waits_goes_to_an_engine_that_falls_empty),
      TEST(suspects_run_one_after_another),
      TEST(who_is_stopped_has_left_before_a_suspect_enters),
      TEST(nobody_enters_an_engine_that_has_gone),
      TEST(a_death_is_told_as_one),
      TEST(an_end_by_the_watchdog_is_told_as_a_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
