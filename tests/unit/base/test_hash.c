/* test_hash.c - the numbers that files hold are those of RFC 9923. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/hash.h"

static void the_numbers_are_the_standards(void **state) {
  (void)state;
  assert_true(hash_on(HASH_START, "", 0) == UINT64_C(0xcbf29ce484222325));
  assert_true(hash_on(HASH_START, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
  assert_true(hash_on(HASH_START, "foobar", 6) == UINT64_C(0x85944171f73967e8));
}

static void pieces_are_the_whole(void **state) {
  (void)state;
  assert_true(hash_on(hash_on(HASH_START, "foo", 3), "bar", 3) == hash_on(HASH_START, "foobar", 6));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_numbers_are_the_standards),
      cmocka_unit_test(pieces_are_the_whole),
  };
  return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
