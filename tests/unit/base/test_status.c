/* test_status.c - reasons and fields of failures, per thread. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/status.h"

static void test_reason_and_field(void **state) {
  (void)state;
  assert_int_equal(fail_field(BAD_INPUT, "steps", "%d is too many", 7), BAD_INPUT);
  assert_string_equal(fail_reason(), "7 is too many");
  assert_string_equal(fail_field_name(), "steps");
  assert_int_equal(fail(UNAVAILABLE, "away"), UNAVAILABLE);
  assert_string_equal(fail_field_name(), "");
}

static void test_reason_may_quote_the_last(void **state) {
  (void)state;
  fail(BAD_INPUT, "inner");
  fail(BAD_INPUT, "outer: %s", fail_reason());
  assert_string_equal(fail_reason(), "outer: inner");
}

static void test_long_reasons_are_cut(void **state) {
  (void)state;
  char text[2 * FAIL_REASON_MAX];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  fail(BROKEN, "%s", text);
  assert_int_equal(strlen(fail_reason()), FAIL_REASON_MAX - 1);
}

static void *fail_elsewhere(void *nothing) {
  (void)nothing;
  fail(BROKEN, "elsewhere");
  return NULL;
}

static void test_threads_do_not_mix(void **state) {
  (void)state;
  pthread_t thread;
  fail(BAD_INPUT, "here");
  assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
  pthread_join(thread, NULL);
  assert_string_equal(fail_reason(), "here");
}

static enum status returns(enum status status, int *reached) {
  TRY(status);
  *reached = 1;
  return OK;
}

static void test_try(void **state) {
  (void)state;
  int reached = 0;
  assert_int_equal(returns(EXHAUSTED, &reached), EXHAUSTED);
  assert_int_equal(reached, 0);
  assert_int_equal(returns(OK, &reached), OK);
  assert_int_equal(reached, 1);
  assert_string_equal(status_name(EXHAUSTED), "EXHAUSTED");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reason_and_field),
      cmocka_unit_test(test_reason_may_quote_the_last),
      cmocka_unit_test(test_long_reasons_are_cut),
      cmocka_unit_test(test_threads_do_not_mix),
      cmocka_unit_test(test_try),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
