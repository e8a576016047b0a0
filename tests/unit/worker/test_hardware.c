/* test_hardware.c - a worker whose devices are not trusted any more: what becomes of their jobs,
 * and what is told of them. Engines are the test's ends of two pipes.
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
#include "monitoring/metrics.h"
#include "worker/device_report.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/outcome.h"
#include "worker/placement.h"
#include "worker/reports.h"

static struct worker worker;
static struct options options;
static struct pipe engine[2]; /* their ends of the pipes */
static struct arena *arena;
static uint64_t fence;

static void be_ready(size_t index) {
  struct child *child = &worker.children.child[index];
  child->state = CHILD_READY;
  child->end = END_NONE;
}

static int setup(void **state) {
  (void)state;
  clock_hold(10000000, 10000000);
  options = (struct options){.spool_images = 8, .spool_mib = 64};
  worker = (struct worker){.options = &options, .generation = 1};
  worker.hardware.devices = (struct worker_devices){
      .row = {{.name = "cuda:0", .open = "cuda:GPU-a", .gpu = DEVICES_NO_GPU, .own_memory = true},
              {.name = "cuda:1", .open = "cuda:GPU-b", .gpu = DEVICES_NO_GPU, .own_memory = true}},
      .count = 2};
  children_open(&worker.children, &worker.hardware.devices);
  for (size_t i = 0; i < 2; i++) {
    int pair[2];
    struct child *child = &worker.children.child[i];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(pipe_open(&child->pipe, pair[0]), OK);
    assert_int_equal(pipe_open(&engine[i], pair[1]), OK);
    be_ready(i);
    child->slots = 4;
    child->model_count = 1;
    snprintf(child->model[0].id, JOB_MODEL_BYTES_MAX, "m");
    cordon_open(&worker.hardware.cordon[i], 3);
  }
  if (arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &worker.scratch) != OK) {
    return -1;
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
  arena_close(&worker.scratch);
  arena_close(&arena);
  clock_let_go();
  return 0;
}

/* A job that runs in an engine. */
static struct held *run_job(const char *id, const char *prompt, uint64_t seed, size_t child) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  uint8_t packed[512];
  job.id = (char *)id;
  job.model = (char *)"m";
  job.prompt = (char *)prompt;
  job.has_images = job.has_steps = job.has_seed = 1;
  job.images = 1;
  job.steps = 10;
  job.seed = seed;
  assign.job = &job;
  assign.has_fence = 1;
  assign.fence = ++fence;
  struct held *held = held_take(&worker.held, packed, darkroom__v1__assign__pack(&assign, packed));
  assert_non_null(held);
  held->state = HELD_RUNNING;
  held->child = child;
  return held;
}

/* The engine ends so, with what is in it; another one is ready afterwards, unless there is none. */
static void end(size_t index, enum child_end how) {
  struct child *child = &worker.children.child[index];
  child->end = how;
  child->state = CHILD_AWAY;
  child_says_why(child, "an illegal address");
  reports_child_ended(&worker, index);
  clock_move(1000);
  if (!worker.hardware.cordon[index].closed) {
    be_ready(index);
  }
}

static void finish(struct held *held) {
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Finished finished = DARKROOM__PIPE__FINISHED__INIT;
  held->received = held->images;
  finished.id = held->id;
  finished.has_fence = 1;
  finished.fence = held->fence;
  message.finished = &finished;
  assert_int_equal(pipe_send(&engine[held->child], &message.base), OK);
  reports_take_all(&worker, held->child);
}

static void close_device(size_t index) {
  for (int i = 0; i < 3; i++) {
    end(index, END_FAULT);
  }
}

/* ---- what becomes of jobs ---- */

static void a_device_that_kills_strangers_gets_no_more(void **state) {
  (void)state;
  struct held *a = run_job("a", "a dog", 1, 1);
  end(1, END_FAULT);
  struct held *b = run_job("b", "a cat", 1, 1);
  end(1, END_FAULT);
  struct held *c = run_job("c", "a fox", 1, 1);
  struct held *waiting = run_job("w", "a hen", 1, 1);
  waiting->state = HELD_WAITING;
  struct held *other = run_job("o", "an owl", 1, 0);
  end(1, END_FAULT);
  assert_int_equal(a->offer.verb, WIRE_FAIL); /* before it was known */
  assert_int_equal(b->offer.verb, WIRE_FAIL);
  assert_int_equal(c->offer.verb, WIRE_RELEASE); /* without guilt */
  assert_int_equal(waiting->offer.verb, WIRE_RELEASE);
  assert_int_equal(other->state, HELD_RUNNING); /* beside it everything goes on */
  assert_int_equal(worker.children.child[1].state, CHILD_CORDONED);
  assert_int_equal(worker.children.child[0].state, CHILD_READY);
  size_t child = 9;
  assert_true(placement_child_for(&worker, "m", NULL, &child));
  assert_int_equal(child, 0);
  char words[HARDWARE_WORDS_BYTES_MAX];
  hardware_write_cordons(&worker, words);
  assert_non_null(strstr(words, "cuda:1 is cordoned: its engine has died 3 times"));
  assert_non_null(strstr(words, "an illegal address"));
}

static void who_asks_for_the_same_again_is_one_job(void **state) {
  (void)state;
  char id[16];
  for (unsigned i = 0; i < 20; i++) {
    snprintf(id, sizeof id, "j%u", i);
    struct held *held = run_job(id, "poison", i, 0);
    end(0, END_FAULT);
    assert_int_equal(held->offer.verb, WIRE_FAIL);
  }
  assert_false(worker.hardware.cordon[0].closed);
}

static void ends_that_are_not_the_devices_do_not_count(void **state) {
  (void)state;
  static const enum child_end innocent[] = {END_ORDERED, END_SHORT, END_OUTSIDE, END_LOADING};
  for (size_t i = 0; i < sizeof innocent / sizeof innocent[0]; i++) {
    for (int times = 0; times < 5; times++) {
      end(0, innocent[i]);
    }
  }
  assert_false(worker.hardware.cordon[0].closed);
  end(0, END_SILENT);
  end(0, END_FAULT);
  end(0, END_SILENT);
  assert_true(worker.hardware.cordon[0].closed);
}

/* It ran on another device and did well: so it did not kill the first. */
static void a_job_that_is_finished_did_not_kill(void **state) {
  (void)state;
  for (int times = 0; times < 3; times++) {
    run_job("a", "a dog", 1, 0)->alone = times > 0;
    end(0, END_FAULT);
  }
  assert_false(worker.hardware.cordon[0].closed);
  finish(run_job("b", "a dog", 2, 1));
  assert_true(worker.hardware.cordon[0].closed);
  assert_false(worker.hardware.cordon[1].closed);
  assert_int_equal(cordon_count(&worker.hardware.cordon[1], clock_ms()), 0);
}

static void an_operator_lets_it_in_again(void **state) {
  (void)state;
  close_device(1);
  assert_int_equal(worker.children.child[1].state, CHILD_CORDONED);
  assert_int_equal(children_due_ms(&worker.children), INT64_MAX);
  hardware_let_in(&worker, clock_ms());
  assert_int_equal(worker.children.child[1].state, CHILD_AWAY); /* to be started, and tested */
  assert_int_equal(children_due_ms(&worker.children), clock_ms());
  assert_false(worker.hardware.cordon[1].closed);
  assert_int_equal(worker.children.child[0].state, CHILD_READY);
}

/* ---- what is told ---- */

static void tell_of_device(size_t index) {
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Ready ready = DARKROOM__PIPE__READY__INIT;
  Darkroom__V1__DeviceInfo info = DARKROOM__V1__DEVICE_INFO__INIT;
  info.model = (char *)"NVIDIA \"X\", 80 GB";
  info.uuid = (char *)"GPU-a";
  info.driver = (char *)"580.1";
  info.element = (char *)"f16";
  info.determinism = (char *)"fast";
  info.has_memory_total = info.has_capability = 1;
  info.memory_total = 80;
  info.capability = 90;
  ready.device_info = &info;
  message.ready = &ready;
  assert_int_equal(pipe_send(&engine[index], &message.base), OK);
  reports_take_all(&worker, index);
}

static void devices_are_told_with_their_states(void **state) {
  (void)state;
  uint64_t before = device_report_key(&worker);
  worker.children.child[0].state = CHILD_LOADING;
  tell_of_device(0);
  assert_int_equal(device_report_key(&worker), before);
  close_device(1);
  assert_true(device_report_key(&worker) != before);
  const Darkroom__V1__Devices *told = device_report(&worker, arena);
  assert_int_equal(told->n_device, 2);
  const Darkroom__V1__DeviceInfo *first = told->device[0], *second = told->device[1];
  assert_string_equal(first->name, "cuda:0");
  assert_string_equal(first->state, "ready");
  assert_null(first->reason);
  assert_string_equal(first->model, "NVIDIA  X   80 GB"); /* it becomes a label of a metric */
  assert_string_equal(first->uuid, "GPU-a");
  assert_string_equal(first->element, "f16");
  assert_string_equal(first->determinism, "fast");
  assert_int_equal(first->memory_total, 80);
  assert_string_equal(second->state, "cordoned");
  assert_non_null(strstr(second->reason, "died 3 times"));
  assert_null(second->model);
}

static void metrics_name_the_device(void **state) {
  (void)state;
  metrics_open(METRICS_OF_WORKER, "1");
  tell_of_device(0);
  close_device(1);
  hardware_tend(&worker, clock_ms());
  assert_true(metric_value(M_DEVICE_READY, "cuda:0") == 1);
  assert_true(metric_value(M_DEVICE_READY, "cuda:1") == 0);
  assert_true(metric_value(M_DEVICE_CORDONED, "cuda:0") == 0);
  assert_true(metric_value(M_DEVICE_CORDONED, "cuda:1") == 1);
  assert_true(metric_value(M_DEVICE_ENGINE_DEATHS, "cuda:1") >= 3);
  assert_true(metric_value(M_DEVICE_INFO, "cuda:0,NVIDIA  X   80 GB,GPU-a,580.1") == 1);
  hardware_let_in(&worker, clock_ms());
  assert_true(metric_value(M_DEVICE_CORDONED, "cuda:1") == 0);
}

static void an_engine_says_why_it_leaves(void **state) {
  (void)state;
  Darkroom__Pipe__Report message = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Leaving leaving = DARKROOM__PIPE__LEAVING__INIT;
  leaving.reason = (char *)"cuda:0: no driver\n";
  message.leaving = &leaving;
  assert_int_equal(pipe_send(&engine[0], &message.base), OK);
  reports_take_all(&worker, 0);
  worker.children.child[0].state = CHILD_AWAY;
  assert_string_equal(hardware_state(&worker, 0), "away");
  assert_string_equal(hardware_reason(&worker, 0), "cuda:0: no driver?");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_device_that_kills_strangers_gets_no_more),
      TEST(who_asks_for_the_same_again_is_one_job),
      TEST(ends_that_are_not_the_devices_do_not_count),
      TEST(a_job_that_is_finished_did_not_kill),
      TEST(an_operator_lets_it_in_again),
      TEST(devices_are_told_with_their_states),
      TEST(metrics_name_the_device),
      TEST(an_engine_says_why_it_leaves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
