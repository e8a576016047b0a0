/* test_places.c - which URLs a job may name, and which look as if. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "store/places.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct places places = {.store = "s3://pictures/darkroom/",
                                     .below = {"s3://inputs", "file:///tmp"},
                                     .below_count = 2,
                                     .host = {"images.example.com", "other.example:8443"},
                                     .host_count = 2};

static void what_may_be_read(void **state) {
  (void)state;
  static const char *const urls[] = {
      "s3://pictures/darkroom/inputs/" HASH,
      "s3://inputs/a/b.png",
      "https://images.example.com/a.png",
      "https://IMAGES.example.com:443/a.png?size=..",
      "https://other.example:8443/a",
      "file:///tmp/anything", /* where it really lies is seen when it is open */
      "file://localhost/tmp/a%20b",
  };
  for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
    if (places_check(&places, "default", urls[i]) != OK) {
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
    if (places_check(&places, "default", urls[i]) != BAD_INPUT) {
      print_error("%s may be read\n", urls[i]);
      assert_true(0);
    }
  }
}

static void files_lie_below_their_place(void **state) {
  (void)state;
  assert_int_equal(places_check_path(&places, "default", "/tmp/a"), OK);
  assert_int_equal(places_check_path(&places, "default", "/tmp"), BAD_INPUT);
  assert_int_equal(places_check_path(&places, "default", "/tmpfs/a"), BAD_INPUT);
  assert_int_equal(places_check_path(&places, "default", "/etc/passwd"), BAD_INPUT);
  const struct places none = {.store = "s3://pictures"};
  assert_int_equal(places_check_path(&none, "default", "/tmp/a"), BAD_INPUT);
}

struct visit {
  const char *tenant, *url;
  enum status status;
};

static void look(const struct places *where, const struct visit *visits, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *tenant = visits[i].tenant != NULL ? visits[i].tenant : "nobody";
    if (places_check(where, visits[i].tenant, visits[i].url) != visits[i].status) {
      print_error("%s for %s: not %d\n", visits[i].url, tenant, visits[i].status);
      assert_true(0);
    }
  }
}

/* A listed place holds the store, another lies inside of it: only the second opens something. */
static void results_are_their_tenants(void **state) {
  (void)state;
  static const struct places around = {.store = "s3://pictures//darkroom/",
                                       .below = {"s3://pictures", "s3://pictures/darkroom/shared"},
                                       .below_count = 2};
  static const struct visit visits[] = {
      {"me", "s3://pictures/darkroom/me/job/1/0.png", OK},
      {"me", "s3://pictures/darkroom/me", BAD_INPUT},
      {"me", "s3://pictures/darkroom/me2/job/1/0.png", BAD_INPUT},
      {"me", "s3://pictures/darkroom/other/job/1/0.png", BAD_INPUT},
      {"me", "s3://PICTURES/darkroom/other/job/1/0.png", BAD_INPUT},
      {"me", "s3://pictures/darkroom//me/job/1/0.png", BAD_INPUT},
      {"me", "s3://pictures/darkroom/inputs/" HASH, OK},
      {"me", "s3://pictures/darkroom/inputs/" HASH "0", BAD_INPUT},
      {"me", "s3://pictures/darkroom/inputs/" HASH "/a", BAD_INPUT},
      {"me", "s3://pictures/darkroom/inputs/a.png", BAD_INPUT},
      {"me", "s3://pictures/darkroom/.darkroom-check-w1", BAD_INPUT},
      {"me", "s3://pictures/darkroom/shared/a.png", OK},
      {"me", "s3://pictures/elsewhere/a.png", OK},
      {"", "s3://pictures/darkroom//job/1/0.png", BAD_INPUT},
      {NULL, "s3://pictures/darkroom/me/job/1/0.png", BAD_INPUT},
      {NULL, "s3://pictures/darkroom/inputs/" HASH, OK},
      {"inputs", "s3://pictures/darkroom/other/job/1/0.png", BAD_INPUT},
  };
  look(&around, visits, sizeof visits / sizeof visits[0]);
  static const struct places bare = {.store = "s3://pictures"};
  static const struct visit at_the_root[] = {
      {"me", "s3://pictures/me/job/1/0.png", OK},
      {"me", "s3://pictures/other/job/1/0.png", BAD_INPUT},
      {"me", "s3://pictures/inputs/" HASH, OK},
      {"me", "s3://pictures-2/me/job/1/0.png", BAD_INPUT},
  };
  look(&bare, at_the_root, sizeof at_the_root / sizeof at_the_root[0]);
}

static void files_of_the_store_too(void **state) {
  (void)state;
  static const struct places files = {
      .store = "file:///tmp/", .below = {"file:///"}, .below_count = 1};
  static const struct visit visits[] = {
      {"me", "file:///tmp/me/job/1/0.png", OK},
      {"me", "file:///tmp/%6de/job/1/0.png", OK},
      {"me", "file:///tmp/other/job/1/0.png", BAD_INPUT},
      {"me", "file:///tmp/%6fther/job/1/0.png", BAD_INPUT},
      {"me", "file:///tmp/inputs/" HASH, OK},
      {"me", "file:///tmp/inputs/a", BAD_INPUT},
      {"me", "file:///var/a", OK},
  };
  look(&files, visits, sizeof visits / sizeof visits[0]);
  assert_int_equal(places_check_path(&files, "me", "/tmp/other/a"), BAD_INPUT);
  assert_int_equal(places_check_path(&files, "me", "/tmp/me/a"), OK);
  assert_int_equal(places_check_path(&files, NULL, "/tmp/me/a"), BAD_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_may_be_read),
      cmocka_unit_test(what_may_not_be_read),
      cmocka_unit_test(files_lie_below_their_place),
      cmocka_unit_test(results_are_their_tenants),
      cmocka_unit_test(files_of_the_store_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
