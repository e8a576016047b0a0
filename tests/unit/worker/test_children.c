/* test_children.c - engine processes are started, watched, ended and started again.
 *
 * The engines are this program itself: what children.c executes is its own binary, and main() below
 * plays an engine when it finds itself started as one. The times are the test's; only real
 * processes are waited for.
 */
#include "worker/children.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "base/process.h"
#include "base/progress.h"
#include "worker/engine/engine_main.h"
#include "worker/engine/pipe.pb-c.h"

enum { WAIT_MS = 20000, LOAD_MS = 1000, BACKOFF_MS = 500, LEAVING_MS = 3000, HEALTHY_MS = 60000 };

static struct children children;
static struct arena *arena;
static int endings; /* how often ended() was called */

/* ---- the engines' side ----------------------------------------------------------------------- */

/* How the engines are to behave: PLAY in their environment. */
static int play_engine(int fd) {
  const char *play = getenv("PLAY");
  struct pipe pipe;
  if (play == NULL || pipe_open(&pipe, fd) != OK) {
    return EXIT_CODE_INTERNAL;
  }
  if (strcmp(play, "refuse") == 0) {
    return EXIT_CODE_REFUSED;
  }
  if (strcmp(play, "crash") == 0) {
    return EXIT_CODE_INTERNAL;
  }
  if (strcmp(play, "load") == 0) {
    pause();
  }
  if (strcmp(play, "work") == 0) { /* counts one piece, and then for ever nothing */
    struct pulse *pulse = NULL;
    const char *descriptor = getenv("DARKROOM_ENGINE_PULSE");
    if (descriptor == NULL || pulse_attach((int)strtol(descriptor, NULL, 10), &pulse) != OK) {
      return EXIT_CODE_INTERNAL;
    }
    progress_share(&pulse->count);
    progress_count();
    pulse_expect(pulse, 7000000);
    pause();
  }
  Darkroom__Pipe__Report report = DARKROOM__PIPE__REPORT__INIT;
  Darkroom__Pipe__Ready ready = DARKROOM__PIPE__READY__INIT;
  /* what it was given, for the test to look at */
  ready.device = getenv("AWS_SECRET_ACCESS_KEY") != NULL ? (char *)"it has the keys of the store"
                                                         : getenv("DARKROOM_ENGINE_DEVICE");
  report.ready = &ready;
  if (pipe_send(&pipe, &report.base) != OK || pipe_flush(&pipe) != OK) {
    return EXIT_CODE_INTERNAL;
  }
  while (!pipe.ended) {
    struct pollfd item = {.fd = fd, .events = POLLIN};
    (void)poll(&item, 1, -1);
    if (pipe_receive(&pipe) != OK) {
      break;
    }
  }
  if (strcmp(play, "stay") == 0) { /* does not notice that it is to leave */
    pause();
  }
  return EXIT_CODE_OK;
}

/* ---- the parent's side ----------------------------------------------------------------------- */

static void ended(void *context, size_t index) {
  assert_ptr_equal(context, &children);
  assert_true(index < children.count);
  endings++;
}

static void tend(int64_t now_ms) { children_tend(&children, now_ms, ended, &children); }

static int setup(void **state) {
  (void)state;
  static const struct worker_devices devices = {
      .row = {{.name = "one", .open = "one"}, {.name = "two", .open = "two"}}, .count = 2};
  children_open(&children, &devices);
  children.load_ms = LOAD_MS;
  children.watchdog_ms = 2000;
  endings = 0;
  unsetenv("PLAY");
  return arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &arena) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  children_close(&children, 0);
  arena_close(&arena);
  for (size_t i = 0; i < children.count; i++) {
    assert_int_equal(children.child[i].pid, -1);
  }
  return waitpid(-1, NULL, WNOHANG) == -1 ? 0 : -1; /* nobody is left, not even a dead one */
}

static void wait_for_pipe(struct child *child) {
  struct pollfd item = {.fd = child->pipe.fd, .events = POLLIN};
  assert_int_equal(poll(&item, 1, WAIT_MS), 1);
  assert_int_equal(pipe_receive(&child->pipe), OK);
}

/* The child has died, and its parent has read to the end of its pipe. */
static void lose(struct child *child, int64_t now_ms) {
  while (!child->pipe.ended) {
    wait_for_pipe(child);
  }
  child_lost(child, now_ms);
  assert_int_equal(child->state, CHILD_LEAVING);
}

/* Waits until tending has reaped it. */
static void wait_for_end(struct child *child, int64_t now_ms) {
  for (int waited = 0; waited < WAIT_MS && child->state == CHILD_LEAVING; waited += 5) {
    tend(now_ms);
    usleep(5000);
  }
  assert_int_not_equal(child->state, CHILD_LEAVING);
}

static void one_process_per_device(void **state) {
  (void)state;
  setenv("PLAY", "ready", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  setenv("DARKROOM_ENGINE_DEVICE", "of somebody else", 1);
  assert_int_equal(children_due_ms(&children), 0);
  tend(100);
  for (size_t i = 0; i < children.count; i++) {
    struct child *child = &children.child[i];
    assert_int_equal(child->state, CHILD_LOADING);
    assert_int_equal(child->silent_ms, 0);
    ProtobufCMessage *message = NULL;
    while (message == NULL) {
      wait_for_pipe(child);
      assert_int_equal(
          pipe_take(&child->pipe, &darkroom__pipe__report__descriptor, arena, &message), OK);
    }
    assert_string_equal(((const Darkroom__Pipe__Report *)message)->ready->device, child->device);
    child->state = CHILD_READY; /* as reports.c does */
  }
  assert_int_not_equal(children.child[0].pid, children.child[1].pid);
  unsetenv("AWS_SECRET_ACCESS_KEY");
  unsetenv("DARKROOM_ENGINE_DEVICE");
  tend(100 + 10 * LOAD_MS); /* what is ready may take its time */
  assert_int_equal(children_ready(&children), 2);
  assert_int_equal(children_due_ms(&children), INT64_MAX);
  children_close(&children, WAIT_MS); /* they leave when their pipe does */
  assert_int_equal(endings, 0);
}

static void one_that_dies_is_started_again_ever_later(void **state) {
  (void)state;
  setenv("PLAY", "crash", 1);
  children.count = 1;
  struct child *child = &children.child[0];
  int64_t now_ms = 100, wait_ms = BACKOFF_MS;
  for (int life = 1; life <= 3; life++, wait_ms *= 2) {
    tend(now_ms);
    assert_int_equal(child->state, CHILD_LOADING);
    lose(child, now_ms);
    wait_for_end(child, now_ms);
    assert_int_equal(endings, life);
    assert_int_equal(child->state, CHILD_AWAY);
    assert_int_equal(child->failures, life);
    assert_int_equal(children_due_ms(&children), now_ms + wait_ms);
    assert_true(children_settled(&children)); /* the fleet need not wait for it */
    tend(now_ms + wait_ms - 1);
    assert_int_equal(child->state, CHILD_AWAY);
    now_ms += wait_ms;
  }
  tend(now_ms);
  lose(child, now_ms + HEALTHY_MS + 1);
  wait_for_end(child, now_ms + HEALTHY_MS + 1);
  assert_int_equal(child->failures, 1); /* a long life makes up for the short ones */
}

static void one_that_refuses_is_not_started_again(void **state) {
  (void)state;
  setenv("PLAY", "refuse", 1);
  assert_false(children_settled(&children));
  tend(100);
  for (size_t i = 0; i < children.count; i++) {
    assert_false(children_all_refused(&children));
    lose(&children.child[i], 100);
    wait_for_end(&children.child[i], 100);
    assert_int_equal(children.child[i].state, CHILD_REFUSED);
  }
  assert_true(children_all_refused(&children) && children_settled(&children));
  assert_int_equal(children_due_ms(&children), INT64_MAX);
  tend(100 + HEALTHY_MS);
  assert_int_equal(children.child[0].state, CHILD_REFUSED);
}

static void one_that_hangs_while_it_loads_is_killed(void **state) {
  (void)state;
  setenv("PLAY", "load", 1);
  children.count = 1;
  struct child *child = &children.child[0];
  tend(100);
  tend(100 + LOAD_MS);
  assert_false(child->killed);
  tend(100 + LOAD_MS + 1);
  assert_true(child->killed);
  lose(child, 2000);
  wait_for_end(child, 2000);
  assert_int_equal(child->failures, 1);
}

/* Loading may take as long as it likes while work is counted. */
static void one_that_loads_slowly_is_waited_for(void **state) {
  (void)state;
  setenv("PLAY", "load", 1);
  children.count = 1;
  struct child *child = &children.child[0];
  tend(100);
  int64_t now_ms = 100;
  for (int look = 0; look < 50; look++, now_ms += LOAD_MS) {
    child->pulse->count++; /* the engine's part, played here so that the clock may be the test's */
    tend(now_ms + LOAD_MS);
    assert_false(child->killed);
    assert_true(children_due_ms(&children) <= now_ms + 2 * LOAD_MS);
  }
  tend(now_ms + LOAD_MS + 1);
  assert_true(child->killed); /* but not for ever */
  lose(child, now_ms);
  wait_for_end(child, now_ms);
}

/* What an engine counts is seen from here, through the page that it inherited; each life has its
 * own. */
static void work_is_seen_while_nothing_is_said(void **state) {
  (void)state;
  setenv("PLAY", "work", 1);
  children.count = 1;
  struct child *child = &children.child[0];
  tend(100);
  for (int waited = 0; waited < WAIT_MS && child->pulse->expected_us == 0; waited += 5) {
    usleep(5000);
  }
  tend(1000);
  assert_int_equal(child->pulse_seen, 1);
  assert_int_equal(child->silent_ms, 0);
  assert_int_equal(child_patience_ms(&children, child), 2000 + 7000);
  tend(1500);
  assert_int_equal(child->silent_ms, 500);
  child_kill(child);
  lose(child, 1500);
  wait_for_end(child, 1500);
  assert_null(child->pulse);
  tend(child->due_ms);
  assert_int_equal(child->pulse_seen, 0);
}

/* A worker that was stopped for an hour, or the machine it is on, does not blame its engines. */
static void time_in_which_nobody_looked_is_no_silence(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  child_heard(child, 1000);
  child_look(child, 1500);
  assert_int_equal(child->silent_ms, 500);
  child_look(child, 3600000);
  assert_int_equal(child->silent_ms, 2500);
  for (int64_t now_ms = 3601000; now_ms <= 3605000; now_ms += 1000) {
    child_look(child, now_ms);
  }
  assert_int_equal(child->silent_ms, 7500); /* one that is still silent is found all the same */
  child_heard(child, 3605000);
  assert_int_equal(child->silent_ms, 0);
}

static void one_that_does_not_leave_is_killed(void **state) {
  (void)state;
  setenv("PLAY", "stay", 1);
  tend(100);
  for (size_t i = 0; i < children.count; i++) {
    wait_for_pipe(&children.child[i]);
  }
  struct child *child = &children.child[0];
  pid_t pid = child->pid;
  child_lost(child, 100);
  tend(100 + LEAVING_MS - 1);
  assert_int_equal(kill(pid, 0), 0);
  assert_int_equal(child->state, CHILD_LEAVING);
  tend(100 + LEAVING_MS);
  wait_for_end(child, 100 + LEAVING_MS);
  assert_int_equal(child->state, CHILD_AWAY);
  /* the other is left to teardown, whose children_close has no patience */
}

/* Starts the first, which behaves like this, and waits for its end. */
static enum child_end end_of_life(const char *play, int signal_number) {
  static int64_t now_ms = 100;
  struct child *child = &children.child[0];
  children.count = 1;
  setenv("PLAY", play, 1);
  tend(now_ms += HEALTHY_MS);
  assert_int_equal(child->state, CHILD_LOADING);
  if (signal_number != 0) {
    kill(child->pid, signal_number);
  }
  lose(child, now_ms);
  wait_for_end(child, now_ms);
  return child->end;
}

/* What somebody else ends is no fault of the device's. */
static void its_end_tells_whose_fault_it_was(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  assert_int_equal(end_of_life("load", SIGKILL), END_OUTSIDE);
  assert_string_equal(child->reason, "it was ended by signal 9");
  assert_int_equal(end_of_life("load", SIGTERM), END_OUTSIDE);
  assert_int_equal(end_of_life("load", SIGABRT), END_FAULT);
  assert_int_equal(end_of_life("crash", 0), END_FAULT);
  assert_string_equal(child->reason, "it left with 70");
  assert_int_equal(end_of_life("refuse", 0), END_REFUSED);
}

static void a_cordoned_one_is_ended_and_stays_away(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  children.count = 1;
  setenv("PLAY", "load", 1);
  tend(100);
  child_cordon(child);
  lose(child, 200);
  wait_for_end(child, 200);
  assert_int_equal(child->end, END_CORDON);
  assert_int_equal(child->state, CHILD_CORDONED);
  assert_int_equal(endings, 1);
  tend(200 + 10 * HEALTHY_MS);
  assert_int_equal(child->state, CHILD_CORDONED);
  assert_true(children_settled(&children));
  assert_false(children_all_refused(&children));
  child_let_in(child, 300);
  tend(300);
  assert_int_equal(child->state, CHILD_LOADING);
  child_cordon(child);
}

/* As of a process that hangs in the driver: no end of it is ever seen, as the test has taken it. */
static void one_that_cannot_be_ended_is_given_up(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  children.count = 1;
  setenv("PLAY", "load", 1);
  tend(100);
  child_kill(child);
  assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
  child->killed_ms = 200;
  tend(200 + LEAVING_MS - 1);
  assert_int_equal(child->state, CHILD_LOADING);
  tend(200 + LEAVING_MS);
  assert_int_equal(child->state, CHILD_LEAVING);
  for (int64_t now_ms = 200 + LEAVING_MS; now_ms < 200 + 3 * LEAVING_MS; now_ms += 10) {
    tend(now_ms);
  }
  assert_int_equal(endings, 0);
  for (int looks = 0; looks < 3; looks++) {
    tend(200 + 3 * LEAVING_MS);
    assert_int_equal(endings, 1);                  /* what it held is given up, once */
    assert_int_equal(child->state, CHILD_LEAVING); /* and no other is started beside it */
  }
  assert_non_null(strstr(child->reason, "cannot be ended"));
}

static void its_turn_sets_its_patience(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  struct pulse pulse = {0};
  assert_int_equal(child_patience_ms(&children, child), 2000); /* it is not running */
  child->pulse = &pulse;
  assert_int_equal(child_patience_ms(&children, child), 2000);
  pulse_expect(&pulse, 100000000); /* a decode of a large picture on a slow machine */
  assert_int_equal(child_patience_ms(&children, child), 102000);
  pulse_expect(&pulse, UINT64_MAX); /* nobody is waited for for ever */
  assert_int_equal(child_patience_ms(&children, child), 2000 + 24 * 3600000);
  child->pulse = NULL;
}

static void its_pace_is_the_median_of_the_latest_turns(void **state) {
  (void)state;
  struct child *child = &children.child[0];
  assert_int_equal(child_turn_median_us(child), 0);
  for (uint64_t turn = 1; turn <= 9; turn++) {
    child_note_turn(child, turn == 9 ? 1000000000 : turn * 1000); /* one that hung for once */
  }
  assert_int_equal(child_turn_median_us(child), 5000);
  for (int turn = 0; turn < CHILD_TURNS_KEPT; turn++) {
    child_note_turn(child, 1000000);
  }
  assert_int_equal(child_turn_median_us(child), 1000000); /* only the latest count */
}

static void models_are_found_by_their_id(void **state) {
  (void)state;
  struct child *child = &children.child[1];
  snprintf(child->model[0].id, sizeof child->model[0].id, "a");
  snprintf(child->model[1].id, sizeof child->model[1].id, "b");
  child->model_count = 1;
  assert_ptr_equal(child_model(child, "a"), &child->model[0]);
  assert_null(child_model(child, "b"));
}

int main(int argc, char **argv) {
  (void)argc;
  const char *fd = getenv("DARKROOM_ENGINE_CHILD");
  if (process_begin(argv) != OK) {
    return EXIT_CODE_INTERNAL;
  }
  if (fd != NULL) {
    return play_engine((int)strtol(fd, NULL, 10));
  }
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(one_process_per_device),
      TEST(one_that_dies_is_started_again_ever_later),
      TEST(one_that_refuses_is_not_started_again),
      TEST(one_that_hangs_while_it_loads_is_killed),
      TEST(one_that_loads_slowly_is_waited_for),
      TEST(work_is_seen_while_nothing_is_said),
      TEST(time_in_which_nobody_looked_is_no_silence),
      TEST(one_that_does_not_leave_is_killed),
      TEST(its_end_tells_whose_fault_it_was),
      TEST(a_cordoned_one_is_ended_and_stays_away),
      TEST(one_that_cannot_be_ended_is_given_up),
      TEST(its_turn_sets_its_patience),
      TEST(its_pace_is_the_median_of_the_latest_turns),
      TEST(models_are_found_by_their_id),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
