/* test_budget.c - promised bytes never pass their maximum, whatever is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/engine/budget.h"

static void what_is_taken_counts(void **state) {
  (void)state;
  struct budget budget = {.max = 100};
  assert_int_equal(budget_take(&budget, 60), OK);
  assert_int_equal(budget_take(&budget, 41), EXHAUSTED);
  assert_int_equal(budget.used, 60); /* nothing was taken */
  assert_int_equal(budget_take(&budget, 40), OK);
  assert_int_equal(budget_take(&budget, 1), EXHAUSTED);
  assert_int_equal(budget_take(&budget, 0), OK);
  assert_int_equal(budget_take(&budget, SIZE_MAX), EXHAUSTED);
  budget_give(&budget, 60);
  assert_int_equal(budget_take(&budget, 60), OK);
}

static void a_sum_does_not_wrap_around(void **state) {
  (void)state;
  assert_true(budget_sum(1, 2) == 3);
  assert_true(budget_sum(SIZE_MAX - 1, 1) == SIZE_MAX);
  assert_true(budget_sum(SIZE_MAX, 1) == SIZE_MAX);
  assert_true(budget_sum(SIZE_MAX, SIZE_MAX) == SIZE_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_taken_counts),
      cmocka_unit_test(a_sum_does_not_wrap_around),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
