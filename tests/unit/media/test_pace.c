/* test_pace.c - who is waited for, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/media/pace.h"

enum { BEGUN = 1000000, PATIENCE = 120000 };

/* A source of so many bytes a second is looked at ten times a second for as long as it is let; what
 * became of it, and after how many milliseconds. */
static enum pace_verdict drip(uint64_t bytes_per_second, int64_t patience_ms, int64_t *after_ms) {
  struct pace pace;
  enum pace_verdict verdict = PACE_GOES_ON;
  pace_begin(BEGUN, BEGUN + patience_ms, &pace);
  for (int64_t ms = 0; ms <= PATIENCE; ms += 100) {
    verdict = pace_look(&pace, BEGUN + ms, bytes_per_second * (uint64_t)ms / 1000);
    if (verdict == PACE_TOO_SLOW || verdict == PACE_TOO_LATE) {
      *after_ms = ms;
      return verdict;
    }
  }
  *after_ms = PATIENCE;
  return verdict;
}

static void drops_are_not_waited_for(void **state) {
  (void)state;
  int64_t after_ms = 0;
  assert_int_equal(drip(0, PATIENCE, &after_ms), PACE_TOO_SLOW);
  assert_int_equal(after_ms, PACE_WINDOW_MS);
  assert_int_equal(drip(2, PATIENCE, &after_ms), PACE_TOO_SLOW);
  assert_int_equal(drip(1000, PATIENCE, &after_ms), PACE_TOO_SLOW);
  assert_int_equal(after_ms, PACE_WINDOW_MS);
}

static void whatever_comes_ends_with_its_jobs_patience(void **state) {
  (void)state;
  int64_t after_ms = 0;
  assert_int_equal(drip(1100, 60000, &after_ms), PACE_TOO_LATE);
  assert_int_equal(after_ms, 60000);
  assert_int_equal(drip(1 << 30, 60000, &after_ms), PACE_TOO_LATE);
  assert_int_equal(drip(2, 300, &after_ms), PACE_TOO_LATE);
  assert_int_equal(after_ms, 300);
}

/* It came fast, and then hangs. */
static void a_source_that_stops_is_slow(void **state) {
  (void)state;
  struct pace pace;
  pace_begin(BEGUN, INT64_MAX, &pace);
  for (int64_t ms = 0; ms < 2 * PACE_WINDOW_MS; ms += 100) {
    uint64_t bytes = ms < 5000 ? (uint64_t)ms * 1000 : 5000000;
    assert_int_not_equal(pace_look(&pace, BEGUN + ms, bytes), PACE_TOO_SLOW);
  }
  assert_int_equal(pace_look(&pace, BEGUN + 2 * PACE_WINDOW_MS, 5000000), PACE_TOO_SLOW);
}

static void slow_ones_have_their_turn_and_then_may_give_way(void **state) {
  (void)state;
  struct pace pace;
  pace_begin(BEGUN, INT64_MAX, &pace);
  assert_int_equal(pace_look(&pace, BEGUN, 0), PACE_GOES_ON);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_TURN_MS - 1, 0), PACE_GOES_ON);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_TURN_MS, 0), PACE_MAY_GIVE_WAY);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_TURN_MS, 1000), PACE_MAY_GIVE_WAY);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_TURN_MS, 2 * PACE_FAST_BYTES), PACE_GOES_ON);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_WINDOW_MS - 1, 500000), PACE_MAY_GIVE_WAY);
}

/* What was learned from a refusal is asked anew: its bytes count from 0. */
static void bytes_may_count_anew(void **state) {
  (void)state;
  struct pace pace;
  pace_begin(BEGUN, INT64_MAX, &pace);
  pace_look(&pace, BEGUN + PACE_WINDOW_MS, 1 << 20);
  assert_int_equal(pace_look(&pace, BEGUN + PACE_WINDOW_MS + 100, 10), PACE_MAY_GIVE_WAY);
  assert_int_equal(pace_look(&pace, BEGUN + 2 * PACE_WINDOW_MS, 1000), PACE_TOO_SLOW);
}

static void each_end_has_its_words(void **state) {
  (void)state;
  for (int verdict = PACE_GOES_ON; verdict <= PACE_TOO_LATE; verdict++) {
    assert_non_null(pace_words((enum pace_verdict)verdict));
    assert_string_not_equal(pace_words((enum pace_verdict)verdict), pace_words(99));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(drops_are_not_waited_for),
      cmocka_unit_test(whatever_comes_ends_with_its_jobs_patience),
      cmocka_unit_test(a_source_that_stops_is_slow),
      cmocka_unit_test(slow_ones_have_their_turn_and_then_may_give_way),
      cmocka_unit_test(bytes_may_count_anew),
      cmocka_unit_test(each_end_has_its_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
