/* test_allowance.c - so many a second, some at once, and when to come again. */
#include "broker/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"

/* How many single units may be taken at that moment. */
static unsigned take_all(struct allowance *allowance, uint64_t per_second, int64_t now_ms,
                         uint64_t *wait_ms) {
  unsigned taken = 0;
  while (taken < 100000 && allowance_has(allowance, per_second, 1, now_ms, wait_ms)) {
    allowance_take(allowance, per_second, 1, now_ms);
    taken++;
  }
  return taken;
}

static void test_a_second_of_them_at_once_and_then_at_the_rate(void **state) {
  (void)state;
  struct allowance allowance = {0};
  uint64_t wait_ms = 0;
  assert_int_equal(take_all(&allowance, 50, 1000, &wait_ms), 50 * ALLOWANCE_BURST_MS / 1000);
  assert_int_equal(wait_ms, 20);
  assert_int_equal(take_all(&allowance, 50, 1019, &wait_ms), 0);
  assert_int_equal(take_all(&allowance, 50, 1020, &wait_ms), 1);
  assert_int_equal(take_all(&allowance, 50, 11000, &wait_ms), 50);
}

static void test_over_a_minute_it_is_the_rate(void **state) {
  (void)state;
  struct allowance allowance = {0};
  uint64_t wait_ms = 0, taken = 0;
  for (int64_t now_ms = 5000; now_ms < 65000; now_ms += 7) {
    taken += take_all(&allowance, 30, now_ms, &wait_ms);
  }
  assert_in_range(taken, 30 * 60, 30 * 61);
}

static void test_a_large_piece_is_paid_for_later(void **state) {
  (void)state;
  struct allowance allowance = {0};
  uint64_t wait_ms = 0;
  allowance_take(&allowance, 10, 1, 1000);
  assert_true(allowance_has(&allowance, 10, 100, 1000, &wait_ms));
  allowance_take(&allowance, 10, 100, 1000);
  assert_false(allowance_has(&allowance, 10, 1, 1000, &wait_ms));
  assert_int_equal(wait_ms, 9200);
  assert_false(allowance_has(&allowance, 10, 1, 1000 + 9199, &wait_ms));
  assert_true(allowance_has(&allowance, 10, 1, 1000 + 9200, &wait_ms));
}

static void test_no_rate_is_no_bound_and_no_number_is_too_large(void **state) {
  (void)state;
  struct allowance allowance = {0};
  uint64_t wait_ms = 0;
  assert_true(allowance_has(&allowance, 0, UINT64_MAX, 1000, &wait_ms));
  allowance_take(&allowance, 0, UINT64_MAX, 1000);
  assert_int_equal(allowance.spent_us, 0);
  assert_true(allowance_has(&allowance, 1, UINT64_MAX, 1000, &wait_ms));
  allowance_take(&allowance, 1, UINT64_MAX, 1000);
  assert_false(allowance_has(&allowance, 1, 1, 1000, &wait_ms));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_second_of_them_at_once_and_then_at_the_rate),
      cmocka_unit_test(test_over_a_minute_it_is_the_rate),
      cmocka_unit_test(test_a_large_piece_is_paid_for_later),
      cmocka_unit_test(test_no_rate_is_no_bound_and_no_number_is_too_large),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
