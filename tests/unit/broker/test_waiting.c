/* test_waiting.c - watches and credits come and go in every order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/waiting.h"

static struct waiting *waiting;

static int setup(void **state) {
  (void)state;
  return waiting_open(&waiting) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  waiting_close(&waiting);
  return waiting == NULL ? 0 : -1;
}

static struct peer peer_of(uint64_t caller, uint64_t correlation) {
  return (struct peer){.caller = caller, .correlation = correlation, .who = &identity_open};
}

static void test_a_peer_watches_once_per_correlation(void **state) {
  (void)state;
  struct watcher *first, *again, *other;
  struct peer peer = peer_of(1, 5), same_peer_later = peer_of(1, 6);
  assert_int_equal(waiting_watch(waiting, "job", &peer, &first), OK);
  first->version = 4;
  assert_int_equal(waiting_watch(waiting, "job", &peer, &again), OK);
  assert_ptr_equal(first, again);
  assert_int_equal(waiting_watch(waiting, "job", &same_peer_later, &other), OK);
  assert_ptr_not_equal(first, other);
  assert_int_equal(other->version, 0);
  assert_int_equal(waiting_watchers(waiting), 2);
  struct watch *watch = waiting_watch_of(waiting, "job");
  waiting_unwatch(waiting, first);
  assert_ptr_equal(waiting_watch_of(waiting, "job"), watch);
  waiting_unwatch(waiting, other);
  assert_null(waiting_watch_of(waiting, "job"));
  assert_int_equal(waiting_watchers(waiting), 0);
}

static void test_many_watches_and_their_memory_comes_back(void **state) {
  (void)state;
  struct watcher *watcher;
  char id[32];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < WATCHERS_MAX; i++) {
      struct peer peer = peer_of((uint64_t)i % 16, (uint64_t)i);
      snprintf(id, sizeof id, "job-%d", i / 2);
      assert_int_equal(waiting_watch(waiting, id, &peer, &watcher), OK);
    }
    struct peer late = peer_of(17, 1 << 20);
    assert_int_equal(waiting_watch(waiting, "one more", &late, &watcher), EXHAUSTED);
    assert_null(waiting_watch_of(waiting, "one more"));
    for (int i = 0; i < WATCHERS_MAX / 2; i++) {
      snprintf(id, sizeof id, "job-%d", (i * 5) % (WATCHERS_MAX / 2));
      struct watch *watch = waiting_watch_of(waiting, id);
      assert_non_null(watch);
      waiting_unwatch_all(waiting, watch);
    }
    assert_int_equal(waiting_watchers(waiting), 0);
    assert_null(waiting_due(waiting));
  }
}

/* One connection cannot take what is there for all. */
static void test_a_connection_has_its_own_bound(void **state) {
  (void)state;
  struct watcher *watcher;
  char id[32];
  struct peer greedy = peer_of(CALLERS_MAX + 5, 1), other = peer_of(CALLERS_MAX + 6, 1);
  for (int i = 0; i < CALLER_WATCHES_MAX; i++) {
    snprintf(id, sizeof id, "job-%d", i);
    assert_int_equal(waiting_watch(waiting, id, &greedy, &watcher), OK);
  }
  assert_int_equal(waiting_watch(waiting, "one more", &greedy, &watcher), EXHAUSTED);
  assert_int_equal(waiting_watch(waiting, "job-7", &greedy, &watcher), OK); /* again: no new one */
  assert_int_equal(waiting_watch(waiting, "one more", &other, &watcher), OK);
  waiting_unwatch_all(waiting, waiting_watch_of(waiting, "job-9"));
  assert_int_equal(waiting_watch(waiting, "one more", &greedy, &watcher), OK);
  waiting_caller_due(waiting, greedy.caller);
  int due = 0;
  while (waiting_due(waiting) != NULL) {
    due++;
  }
  assert_int_equal(due, CALLER_WATCHES_MAX);
  waiting_closed(waiting, greedy.caller, NULL, NULL);
  assert_int_equal(waiting_watchers(waiting), 1);
  assert_string_equal(waiting_watch_of(waiting, "one more")->name, "one more");
}

static void test_due(void **state) {
  (void)state;
  struct watcher *watcher;
  struct peer peer = peer_of(1, 1);
  static const char *const ids[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(waiting_watch(waiting, ids[i], &peer, &watcher), OK);
  }
  assert_null(waiting_due(waiting));
  waiting_watch_of(waiting, "b")->queued = true;
  waiting_all_due(waiting, true);
  assert_string_equal(waiting_due(waiting)->name, "b");
  assert_null(waiting_due(waiting));
  waiting_all_due(waiting, false);
  waiting_all_due(waiting, false);
  int count = 0;
  while (waiting_due(waiting) != NULL) {
    count++;
  }
  assert_int_equal(count, 3);
}

/* In the order they became due, each once, and never one whose last watcher has gone. */
static void test_due_is_a_queue_that_loses_what_goes(void **state) {
  (void)state;
  struct watcher *watcher;
  struct peer peer = peer_of(1, 1);
  static const char *const ids[] = {"a", "b", "c", "d"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(waiting_watch(waiting, ids[i], &peer, &watcher), OK);
  }
  static const char *const order[] = {"c", "a", "d", "c", "b", "a"};
  for (size_t i = 0; i < 6; i++) {
    waiting_make_due(waiting, waiting_watch_of(waiting, order[i]));
  }
  waiting_unwatch_all(waiting, waiting_watch_of(waiting, "a"));
  waiting_unwatch_all(waiting, waiting_watch_of(waiting, "b")); /* the last of the queue */
  assert_string_equal(waiting_due(waiting)->name, "c");
  waiting_make_due(waiting, waiting_watch_of(waiting, "c"));
  assert_string_equal(waiting_due(waiting)->name, "d");
  assert_string_equal(waiting_due(waiting)->name, "c");
  assert_null(waiting_due(waiting));
}

/* A CLAIM of one credit. */
static enum status claim(const char *name, const char *model, uint32_t jobs, struct peer peer) {
  Darkroom__V1__Credit credit = DARKROOM__V1__CREDIT__INIT, *credits[] = {&credit};
  Darkroom__V1__Claim message = DARKROOM__V1__CLAIM__INIT;
  credit.model = (char *)model;
  credit.jobs = jobs;
  message.worker = (char *)name;
  message.generation = 1;
  message.credit = credits;
  message.n_credit = 1;
  return waiting_claim(waiting, &message, &peer);
}

static void test_workers_are_woken_in_turn(void **state) {
  (void)state;
  assert_int_equal(claim("w1", "m", 1, peer_of(1, 1)), OK);
  assert_int_equal(claim("w2", "m", 1, peer_of(2, 1)), OK);
  assert_int_equal(claim("w3", "other", 1, peer_of(3, 1)), OK);
  int woken = 0;
  while (waiting_woken(waiting) != NULL) { /* a claim wakes its worker */
    woken++;
  }
  assert_int_equal(woken, 3);
  assert_true(waiting_wake(waiting, "m"));
  const char *first = waiting_woken(waiting)->name;
  assert_true(waiting_wake(waiting, "m"));
  assert_string_not_equal(waiting_woken(waiting)->name, first);
  assert_true(waiting_wake(waiting, "m") && waiting_wake(waiting, "m"));
  assert_false(waiting_wake(waiting, "m"));
  assert_false(waiting_wake(waiting, "unknown"));
  assert_int_equal(claim("w1", "m", 0, peer_of(1, 1)), OK);
  assert_int_equal(claim("w2", "m", 0, peer_of(2, 1)), OK);
  assert_false(waiting_wake(waiting, "m"));
  waiting_wake_all(waiting);
  assert_string_equal(waiting_woken(waiting)->name, "w3");
  assert_null(waiting_woken(waiting));
}

/* The worker that does not listen gives its turn away, and stays known for when it is gone. */
static void test_withheld_credits_go_to_others(void **state) {
  (void)state;
  assert_int_equal(claim("deaf", "m", 3, peer_of(1, 1)), OK);
  assert_int_equal(claim("other", "m", 1, peer_of(2, 1)), OK);
  while (waiting_woken(waiting) != NULL) {
  }
  struct waiter *deaf = waiting_worker(waiting, "deaf");
  assert_true(deaf->fresh);
  deaf->woken = true;
  waiting_withhold(waiting, deaf);
  assert_true(deaf->withheld);
  assert_string_equal(waiting_woken(waiting)->name, "other");
  assert_null(waiting_woken(waiting));
  waiting_wake_all(waiting);
  assert_string_equal(waiting_woken(waiting)->name, "other");
  assert_null(waiting_woken(waiting));
  assert_ptr_equal(waiting_worker(waiting, "deaf"), deaf);
  assert_int_equal(claim("deaf", "m", 1, peer_of(1, 1)), OK);
  assert_false(deaf->withheld);
  assert_ptr_equal(waiting_woken(waiting), deaf);
}

static int gone_count;
static void count_gone(void *context, const struct waiter *waiter) {
  assert_ptr_equal(context, waiting);
  assert_string_equal(waiter->name, "w2");
  gone_count++;
}

static void test_a_closed_connection_takes_its_own_along(void **state) {
  (void)state;
  struct watcher *watcher;
  struct peer here = peer_of(1, 1), there = peer_of(2, 1);
  assert_int_equal(waiting_watch(waiting, "both", &here, &watcher), OK);
  assert_int_equal(waiting_watch(waiting, "both", &there, &watcher), OK);
  assert_int_equal(waiting_watch(waiting, "one", &there, &watcher), OK);
  assert_int_equal(claim("w1", "m", 1, here), OK);
  assert_int_equal(claim("w2", "m", 1, there), OK);
  gone_count = 0;
  waiting_closed(waiting, 2, count_gone, waiting);
  assert_int_equal(gone_count, 1);
  assert_null(waiting_watch_of(waiting, "one"));
  assert_ptr_equal(waiting_watch_of(waiting, "both")->first->peer.correlation, 1);
  assert_int_equal(waiting_watchers(waiting), 1);
  assert_null(waiting_worker(waiting, "w2"));
  assert_non_null(waiting_worker(waiting, "w1"));
}

static void test_as_many_workers_as_fit(void **state) {
  (void)state;
  char name[32];
  for (int i = 0; i < WAITING_WORKERS_MAX; i++) {
    snprintf(name, sizeof name, "w%d", i);
    assert_int_equal(claim(name, "m", 1, peer_of(1, 1)), OK);
  }
  assert_int_equal(claim("late", "m", 1, peer_of(1, 1)), EXHAUSTED);
  waiting_drop(waiting, waiting_worker(waiting, "w0"));
  assert_int_equal(claim("late", "m", 1, peer_of(1, 1)), OK);
  assert_non_null(waiting_worker(waiting, "w2047"));
  assert_null(waiting_worker(waiting, "w0"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_peer_watches_once_per_correlation, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_watches_and_their_memory_comes_back, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_connection_has_its_own_bound, setup, teardown),
      cmocka_unit_test_setup_teardown(test_due, setup, teardown),
      cmocka_unit_test_setup_teardown(test_due_is_a_queue_that_loses_what_goes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_workers_are_woken_in_turn, setup, teardown),
      cmocka_unit_test_setup_teardown(test_withheld_credits_go_to_others, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_closed_connection_takes_its_own_along, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_as_many_workers_as_fit, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
