/* test_nearest.c - what is suggested, and what is too far away to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/nearest.h"

static const char *suggest(const char *typed) {
  static const char *const names[] = {"euler", "euler_a", "ddim", "dpmpp_2m", "dpmpp_2m_karras"};
  struct nearest nearest = {.typed = typed};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    nearest_offer(&nearest, names[i]);
  }
  return nearest.name != NULL ? nearest.name : "";
}

static void test_suggestions(void **state) {
  (void)state;
  assert_string_equal(suggest("eular"), "euler");
  assert_string_equal(suggest("euler-a"), "euler_a");
  assert_string_equal(suggest("dpm_2m"), "dpmpp_2m");
  assert_string_equal(suggest("dpmpp_2m_karas"), "dpmpp_2m_karras");
  assert_string_equal(suggest("unipc"), "");
  assert_string_equal(suggest(""), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_suggestions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
