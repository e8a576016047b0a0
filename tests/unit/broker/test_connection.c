/* test_connection.c - what a connection does when nobody is there, and what it says first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <arpa/inet.h>
#include <netinet/in.h>

#include "broker/connection.h"

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
  const struct redis_url url = {0};
  struct address address;
  size_t replies = 0;
  assert_int_equal(connection_socket_address("/nonexistent/redis.sock", &address), OK);
  assert_int_equal(connection_open(&connection, &address, &url, &replies), UNAVAILABLE);
  assert_null(connection.context);
  connection_close(&connection);
}

static void test_address_texts(void **state) {
  (void)state;
  struct address address = {0};
  char text[128], path[REDIS_SOCKET_BYTES_MAX + 1];
  assert_int_equal(connection_socket_address("/run/redis.sock", &address), OK);
  connection_address_text(&address, text, sizeof text);
  assert_string_equal(text, "/run/redis.sock");
  memset(path, 'x', sizeof path);
  path[REDIS_SOCKET_BYTES_MAX] = '\0';
  assert_int_equal(connection_socket_address(path, &address), BAD_INPUT);
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(7000)};
  memcpy(&address.socket, &four, address.bytes = sizeof four);
  connection_address_text(&address, text, sizeof text);
  assert_string_equal(text, "0.0.0.0:7000");
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(7000)};
  memcpy(&address.socket, &six, address.bytes = sizeof six);
  connection_address_text(&address, text, sizeof text);
  assert_string_equal(text, "[::]:7000");
}

/* A login and a database ask for a reply each; a user may come with an empty password. */
static void test_login(void **state) {
  (void)state;
  static const struct {
    const char *url;
    size_t replies;
  } logins[] = {{"redis://127.0.0.1", 0},
                {"redis://:w@127.0.0.1", 1},
                {"redis://u:@127.0.0.1", 1},
                {"redis://u:w@127.0.0.1/3", 2},
                {"redis://127.0.0.1/3", 1}};
  struct sockaddr_in nowhere = {
      .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct address address = {.bytes = sizeof nowhere};
  memcpy(&address.socket, &nowhere, sizeof nowhere);
  for (size_t i = 0; i < sizeof logins / sizeof logins[0]; i++) {
    struct connection connection = {0};
    struct redis_url url;
    size_t replies = 99;
    assert_int_equal(redis_url_parse(logins[i].url, &url), OK);
    if (connection_open(&connection, &address, &url, &replies) == OK) { /* refused: by the first
                                                                          exchange at the latest */
      assert_int_equal(replies, logins[i].replies);
    }
    connection_close(&connection);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed),
      cmocka_unit_test(test_nobody_there),
      cmocka_unit_test(test_address_texts),
      cmocka_unit_test(test_login),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
