/* test_address.c - the one name that is never asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/address.h"

static void test_localhost_is_loopback(void **state) {
  (void)state;
  static const char *const names[] = {"localhost", "LOCALHOST", "localhost."};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    const char *host = address_host(names[i]);
    assert_true(strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0);
  }
}

static void test_other_names_are_left_alone(void **state) {
  (void)state;
  static const char *const names[] = {"localhost.example", "localhostx", "", "10.0.0.1", "::1"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    assert_ptr_equal(address_host(names[i]), names[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_localhost_is_loopback),
      cmocka_unit_test(test_other_names_are_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
