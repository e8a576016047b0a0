/* test_connection.c - the forms of a Redis URL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/connection.h"

static const struct {
  const char *text, *path, *host;
  int port;
  const char *user, *password;
  int database;
} good[] = {
    {"unix:///run/redis.sock", "/run/redis.sock", "", 0, "", "", 0},
    {"unix:///run/redis.sock?db=7", "/run/redis.sock", "", 0, "", "", 7},
    {"redis://127.0.0.1", "", "127.0.0.1", 6379, "", "", 0},
    {"redis://", "", "127.0.0.1", 6379, "", "", 0},
    {"redis://redis.example:7000/3", "", "redis.example", 7000, "", "", 3},
    {"redis://redis.example/", "", "redis.example", 6379, "", "", 0},
    {"redis://:word@host", "", "host", 6379, "", "word", 0},
    {"redis://word@host", "", "host", 6379, "", "word", 0},
    {"redis://user:pa:ss@wo/rd@host:1", "", "host", 1, "user", "pa:ss@wo/rd", 0},
    {"redis://[::1]:7001/2", "", "::1", 7001, "", "", 2},
    {"redis://[::1]", "", "::1", 6379, "", "", 0},
};

static void test_good(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    struct redis_url url;
    assert_int_equal(redis_url_parse(good[i].text, &url), OK);
    assert_string_equal(url.path, good[i].path);
    assert_string_equal(url.host, good[i].host);
    assert_int_equal(url.port, good[i].port);
    assert_string_equal(url.user, good[i].user);
    assert_string_equal(url.password, good[i].password);
    assert_int_equal(url.database, good[i].database);
  }
}

static void test_bad(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "host:6379",
      "rediss://host",
      "unix://",
      "unix://rel",
      "unix:///s?db=",
      "unix:///s?x=1",
      "unix:///s?db=-1",
      "redis://h:",
      "redis://h:port",
      "redis://h:70000",
      "redis://h/x",
      "redis://h/1/2",
      "redis://h/99999",
  };
  struct redis_url url;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(redis_url_parse(bad[i], &url), BAD_INPUT);
    assert_string_equal(fail_field_name(), "redis");
    assert_null(strstr(fail_reason(), "secret"));
  }
  char text[1200] = "redis://:secret";
  memset(text + strlen(text), 'x', 1000);
  assert_int_equal(redis_url_parse(text, &url), BAD_INPUT);
  assert_null(strstr(fail_reason(), "secret"));
}

static void test_closed(void **state) {
  (void)state;
  struct connection connection = {0};
  redisReply *reply = NULL;
  assert_int_equal(connection_append(&connection, "x", 1), UNAVAILABLE);
  assert_int_equal(connection_exchange(&connection, 0), UNAVAILABLE);
  assert_int_equal(connection_reply(&connection, &reply), UNAVAILABLE);
  assert_int_equal(connection_fd(&connection), -1);
  assert_false(connection_wants_write(&connection));
  connection_close(&connection);
}

static void test_nobody_there(void **state) {
  (void)state;
  struct connection connection = {0};
  struct redis_url url;
  size_t replies = 0;
  assert_int_equal(redis_url_parse("unix:///nonexistent/redis.sock", &url), OK);
  assert_int_equal(connection_open(&connection, &url, &replies), UNAVAILABLE);
  connection_close(&connection);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_good),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_closed),
      cmocka_unit_test(test_nobody_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
