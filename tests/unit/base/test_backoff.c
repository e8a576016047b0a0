/* test_backoff.c - waits double up to their most; chance stays within its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"

static void waits_double_up_to_the_most(void **state) {
  (void)state;
  static const int64_t expected[] = {200, 200, 400, 800, 1600, 3200, 5000, 5000};
  for (int tries = 0; tries < 8; tries++) {
    assert_int_equal(backoff_ms(200, 5000, tries), expected[tries]);
  }
  assert_int_equal(backoff_ms(200, 5000, INT32_MAX), 5000);
  assert_int_equal(backoff_ms(200, 100, 1), 100);
}

static void jitter_stays_within_and_spreads(void **state) {
  (void)state;
  int64_t least = INT64_MAX, most = 0;
  for (int i = 0; i < 1000; i++) {
    int64_t wait = backoff_jitter_ms(9);
    assert_true(wait >= 0 && wait <= 9);
    least = wait < least ? wait : least;
    most = wait > most ? wait : most;
  }
  assert_int_equal(least, 0);
  assert_int_equal(most, 9);
  assert_int_equal(backoff_jitter_ms(0), 0);
  assert_int_equal(backoff_jitter_ms(-5), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waits_double_up_to_the_most),
      cmocka_unit_test(jitter_stays_within_and_spreads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
