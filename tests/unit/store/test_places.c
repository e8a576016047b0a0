/* test_places.c - which URLs a job may name, and which look as if. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "store/places.h"

static const struct places places = {.store = "s3://pictures/darkroom/",
                                     .below = {"s3://inputs", "file:///tmp"},
                                     .below_count = 2,
                                     .host = {"images.example.com", "other.example:8443"},
                                     .host_count = 2};

static void what_may_be_read(void **state) {
  (void)state;
  static const char *const urls[] = {
      "s3://pictures/darkroom/inputs/ab",
      "s3://inputs/a/b.png",
      "https://images.example.com/a.png",
      "https://IMAGES.example.com:443/a.png?size=..",
      "https://other.example:8443/a",
      "file:///tmp/anything", /* where it really lies is seen when it is open */
      "file://localhost/tmp/a%20b",
  };
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    if (places_check(&places, urls[i]) != OK) {
      print_error("%s: %s\n", urls[i], fail_reason());
      assert_true(0);
    }
  }
}

static void what_may_not_be_read(void **state) {
  (void)state;
  static const char *const urls[] = {
      "s3://pictures/other/a",
      "s3://pictures/darkroom",
      "s3://inputs",
      "s3://inputs-2/a",
      "s3://inputs/../pictures/a",
      "s3://inputs/./a",
      "https://example.com/a",
      "https://images.example.com.evil.example/a",
      "https://images.example.com:8443/a",
      "https://images.example.com@evil.example/a",
      "https://u:p@images.example.com/a",
      "https://evil.example#@images.example.com/a",
      "https://evil.example\\@images.example.com/a",
      "https://other.example/a",
      "https://images.example.com/../a",
      "http://images.example.com/a",
      "ftp://images.example.com/a",
      "file://images.example.com/a",
      "file:///a/../b",
      "file:///etc/passwd", /* nor whether it is there */
      "file:///dev/watchdog",
      "file:///tmp/a?/../../etc/passwd",
      "file:///tmp/%2e%2e/etc/a://b",
      "file:///tmp/%2e%2e/etc/passwd",
      "file:///tmp/.%2E%2fetc/passwd",
      "",
  };
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    if (places_check(&places, urls[i]) != BAD_INPUT) {
      print_error("%s may be read\n", urls[i]);
      assert_true(0);
    }
  }
}

static void files_lie_below_their_place(void **state) {
  (void)state;
  assert_int_equal(places_check_path(&places, "/tmp/a"), OK);
  assert_int_equal(places_check_path(&places, "/tmp"), BAD_INPUT);
  assert_int_equal(places_check_path(&places, "/tmpfs/a"), BAD_INPUT);
  assert_int_equal(places_check_path(&places, "/etc/passwd"), BAD_INPUT);
  const struct places none = {.store = "s3://pictures"};
  assert_int_equal(places_check_path(&none, "/tmp/a"), BAD_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_may_be_read),
      cmocka_unit_test(what_may_not_be_read),
      cmocka_unit_test(files_lie_below_their_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
