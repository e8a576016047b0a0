/* test_cordon.c - who is to blame when engines die: a device or a job. On a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/cordon.h"

enum { LIMIT = 3, SECOND = 1000 };

static struct cordon cordon;
static int64_t now_ms;

static int setup(void **state) {
  (void)state;
  cordon_open(&cordon, LIMIT);
  now_ms = 1000000;
  return 0;
}

/* An engine dies with the jobs inside, each a letter; alone: it had been lost before. A second
 * later. True: that closed the device. */
static bool dies(const char *jobs, bool alone) {
  struct cordon_death death = {.at_ms = now_ms += SECOND, .elsewhere = alone};
  for (const char *job = jobs; *job != '\0'; job++) {
    death.job[death.count++] = (uint64_t)*job;
  }
  return cordon_died(&cordon, &death, "its words");
}

static bool finishes(char job, bool here) {
  return cordon_finished(&cordon, (uint64_t)job, here, now_ms += SECOND);
}

static void an_engine_that_dies_of_nothing_is_the_devices(void **state) {
  (void)state;
  assert_false(dies("", false));
  assert_false(dies("", false));
  assert_false(cordon.closed);
  assert_true(dies("", false));
  assert_true(cordon.closed);
  assert_non_null(strstr(cordon.reason, "died 3 times"));
  assert_non_null(strstr(cordon.reason, "its words"));
  assert_false(dies("", false)); /* it is closed already */
}

static void deaths_of_long_ago_count_no_more(void **state) {
  (void)state;
  for (int i = 0; i < 40; i++) {
    assert_false(dies("", false));
    now_ms += CORDON_WINDOW_MS / 2;
  }
  assert_int_equal(cordon_count(&cordon, now_ms), 1);
}

/* First in company, then alone until it is proved guilty, and a hundred times more if somebody
 * insists. */
static void one_job_may_kill_as_often_as_it_likes(void **state) {
  (void)state;
  assert_false(dies("abcP", false));
  for (int i = 0; i < 100; i++) {
    assert_false(dies("P", true));
    assert_int_equal(cordon_count(&cordon, now_ms), 1);
  }
}

static void many_jobs_that_kill_do_not_close_a_device_that_works(void **state) {
  (void)state;
  for (char job = 'A'; job <= 'Z'; job++) {
    char jobs[] = {job, 'x', '\0'};
    assert_false(dies(jobs, false));
    assert_false(finishes('x', true)); /* the mate, given out again */
    assert_false(dies((const char[]){job, '\0'}, true));
    assert_false(finishes('y', true));
  }
}

static void suspects_from_elsewhere_die_of_themselves(void **state) {
  (void)state;
  for (char job = 'A'; job <= 'Z'; job++) {
    assert_false(dies((const char[]){job, '\0'}, true));
  }
  assert_int_equal(cordon_count(&cordon, now_ms), 0);
}

static void a_device_that_kills_whatever_it_gets_is_closed(void **state) {
  (void)state;
  assert_false(dies("abc", false));
  assert_int_equal(cordon_count(&cordon, now_ms), 1);
  assert_false(dies("a", true)); /* it was lost here, not elsewhere */
  assert_false(dies("a", true));
  assert_false(dies("b", true));
  assert_int_equal(cordon_count(&cordon, now_ms), 2);
  assert_true(dies("c", true));
}

static void strangers_that_do_well_elsewhere_speak_against_it(void **state) {
  (void)state;
  assert_false(dies("ab", false));
  assert_false(finishes('z', true)); /* it still works now and then */
  assert_false(dies("cd", false));
  assert_false(finishes('z', true));
  assert_false(dies("ef", false));
  assert_int_equal(cordon_count(&cordon, now_ms), 1);
  assert_false(finishes('a', false));
  assert_false(finishes('b', false));
  assert_false(finishes('c', false));
  assert_int_equal(cordon_count(&cordon, now_ms), 2);
  assert_true(finishes('d', false)); /* two engines died of nobody, and a third of e or f */
  assert_true(cordon.closed);
}

static void the_most_deaths_are_kept_and_the_latest(void **state) {
  (void)state;
  cordon_open(&cordon, 0);
  for (int i = 0; i < 3 * CORDON_DEATHS_MAX; i++) {
    assert_false(dies("", false)); /* 0: never closed */
  }
  assert_int_equal(cordon_count(&cordon, now_ms), CORDON_DEATHS_MAX);
}

static void fatal_errors_close_it_at_once(void **state) {
  (void)state;
  static const uint32_t fatal[] = {0, 48, 63, 64, 74, 79, 94, 95, 119, 120};
  static const uint32_t passing[] = {13, 31, 43, 45, 92, 4711};
  for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
    assert_false(cordon_xid(&cordon, passing[i], now_ms));
  }
  assert_false(cordon.closed);
  for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
    bool told = false;
    cordon_open(&cordon, 0);
    assert_true(cordon_xid(&cordon, fatal[i], now_ms));
    assert_non_null(strstr(cordon.reason, xid_meaning(fatal[i], &told)));
    assert_true(told);
    assert_false(cordon_xid(&cordon, fatal[i], now_ms));
  }
}

static void it_is_let_in_with_nothing_held_against_it(void **state) {
  (void)state;
  assert_false(dies("", false));
  assert_false(dies("", false));
  assert_true(dies("", false));
  cordon_open(&cordon, LIMIT);
  assert_false(cordon.closed);
  assert_int_equal(cordon_count(&cordon, now_ms), 0);
  assert_false(dies("", false));
  assert_false(dies("", false));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_engine_that_dies_of_nothing_is_the_devices),
      TEST(deaths_of_long_ago_count_no_more),
      TEST(one_job_may_kill_as_often_as_it_likes),
      TEST(many_jobs_that_kill_do_not_close_a_device_that_works),
      TEST(suspects_from_elsewhere_die_of_themselves),
      TEST(a_device_that_kills_whatever_it_gets_is_closed),
      TEST(strangers_that_do_well_elsewhere_speak_against_it),
      TEST(the_most_deaths_are_kept_and_the_latest),
      TEST(fatal_errors_close_it_at_once),
      TEST(it_is_let_in_with_nothing_held_against_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
