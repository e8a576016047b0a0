/* test_endpoint.c - what may stand behind --broker, and what libzmq is given for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "proto/endpoint.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void test_taken_as_they_are(void **state) {
  (void)state;
  static const char *const good[] = {
      "tcp://127.0.0.1:7700",      "tcp://broker.example.net:1", "tcp://[::1]:65535",
      "tcp://[fe80::1%eth0]:7700", "ipc:///run/b.sock",          "ipc://@abstract",
      "ipc://with space/b",        "ipc://" HUNDRED "1234567", /* as long as a path may be */
  };
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    char endpoint[ENDPOINT_BYTES_MAX] = "";
    assert_int_equal(endpoint_read("broker", good[i], endpoint), OK);
    assert_string_equal(endpoint, good[i]);
  }
}

static void test_localhost(void **state) {
  (void)state;
  char endpoint[ENDPOINT_BYTES_MAX] = "";
  assert_int_equal(endpoint_read("broker", "tcp://localhost:7700", endpoint), OK);
  assert_true(strcmp(endpoint, "tcp://127.0.0.1:7700") == 0 ||
              strcmp(endpoint, "tcp://[::1]:7700") == 0);
}

static void test_refused_with_the_limit(void **state) {
  (void)state;
  static const char *const bad[][2] = {
      {"", "tcp://HOST:PORT or ipc://PATH"},
      {"nowhere", "tcp://HOST:PORT or ipc://PATH"},
      {"carrier://pigeon", "carrier://pigeon"},
      {"tcp://", "tcp://HOST:PORT"},
      {"tcp://host", "tcp://HOST:PORT"},
      {"tcp://:7700", "tcp://HOST:PORT"},
      {"tcp://host:", "1..65535"},
      {"tcp://host:0", "1..65535"},
      {"tcp://host:65536", "1..65535"},
      {"tcp://host:7700x", "1..65535"},
      {"tcp://host:-1", "1..65535"},
      {"tcp://host:99999999999999999999", "1..65535"},
      {"tcp://::1:7700", "brackets"},
      {"ipc://", "1..107 bytes"},
      {"ipc://" HUNDRED "12345678", "1..107 bytes"},
      {"tcp://" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED ":1", "longer than 500 bytes"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char endpoint[ENDPOINT_BYTES_MAX] = "as before";
    assert_int_equal(endpoint_read("broker", bad[i][0], endpoint), BAD_INPUT);
    assert_string_equal(endpoint, "as before");
    assert_non_null(strstr(fail_reason(), bad[i][1]));
    assert_string_equal(fail_field_name(), "broker");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_taken_as_they_are),
      cmocka_unit_test(test_localhost),
      cmocka_unit_test(test_refused_with_the_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
