/* test_clock.c - held, moved and written out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"

static void test_held_clock(void **state) {
  (void)state;
  clock_hold(5000, 1700000000123);
  assert_int_equal(clock_ms(), 5000);
  assert_int_equal(clock_ns(), 5000000000);
  clock_sleep_ms(100000);
  clock_move(250);
  assert_int_equal(clock_ms(), 5250);
  assert_int_equal(clock_wall_ms(), 1700000000373);
  clock_let_go();
  int64_t before = clock_ms();
  clock_sleep_ms(20);
  assert_in_range(clock_ms() - before, 15, 5000);
}

static void test_text(void **state) {
  (void)state;
  char text[CLOCK_TEXT_MAX];
  clock_text(1700000000007, text);
  assert_string_equal(text, "2023-11-14T22:13:20.007Z");
  clock_text(0, text);
  assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

/* A battery that is empty, a register of a wrong size. */
static void test_text_of_a_clock_that_is_wrong(void **state) {
  (void)state;
  static const struct {
    int64_t wall_ms;
    const char *text;
  } cases[] = {
      {-1, "1969-12-31T23:59:59.999Z"},
      {-1000, "1969-12-31T23:59:59.000Z"},
      {-62135596800000, "1-01-01T00:00:00.000Z"},
      {253402300799999, "9999-12-31T23:59:59.999Z"},
      {253402300800000, "10000-01-01T00:00:00.000Z"},
  };
  char text[CLOCK_TEXT_MAX];
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    clock_text(cases[i].wall_ms, text);
    assert_string_equal(text, cases[i].text);
  }
  static const int64_t ends[] = {INT64_MIN, INT64_MAX};
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    clock_text(ends[i], text);
    assert_in_range(strlen(text), 20, CLOCK_TEXT_MAX - 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_held_clock),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_text_of_a_clock_that_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
