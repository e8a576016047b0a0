/* test_resolver.c - names become addresses, and nobody waits. */
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
#include <poll.h>

#include "broker/resolver.h"

enum { PATIENCE_MS = 30000 }; /* of the test, with a name server that is none */

/* Asks and waits for the answer. */
static enum status ask(const char *host, int port, struct addresses *out) {
  struct resolver resolver = {0};
  bool answered = false;
  enum status status = resolver_ask(&resolver, host, port);
  while (status == OK && !answered) {
    struct pollfd item = {.fd = resolver_fd(&resolver), .events = POLLIN};
    assert_int_equal(poll(&item, 1, PATIENCE_MS), 1);
    status = resolver_take(&resolver, &answered, out);
  }
  assert_int_equal(resolver_fd(&resolver), -1);
  resolver_close(&resolver);
  return status;
}

static void test_addresses(void **state) {
  (void)state;
  struct addresses found = {0};
  assert_int_equal(ask("127.0.0.1", 7000, &found), OK);
  const struct sockaddr_in *four = (const struct sockaddr_in *)&found.address[0].socket;
  assert_int_equal(found.count, 1);
  assert_int_equal(four->sin_family, AF_INET);
  assert_int_equal(ntohs(four->sin_port), 7000);
  assert_int_equal(ntohl(four->sin_addr.s_addr), INADDR_LOOPBACK);
  assert_int_equal(ask("::1", 7001, &found), OK);
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&found.address[0].socket;
  assert_int_equal(six->sin6_family, AF_INET6);
  assert_int_equal(ntohs(six->sin6_port), 7001);
}

/* By the hosts file, or without one. */
static void test_localhost(void **state) {
  (void)state;
  struct addresses found = {0};
  assert_int_equal(ask("localhost", 7000, &found), OK);
  assert_true(found.count >= 1);
}

static void test_no_such_name(void **state) {
  (void)state;
  struct addresses found = {0};
  assert_int_equal(ask("no-such-host.invalid", 7000, &found), UNAVAILABLE);
  assert_non_null(strstr(fail_reason(), "no-such-host.invalid"));
  assert_int_equal(found.count, 0);
}

/* Whoever lets go does not wait, and a question that is open is not asked twice. */
static void test_letting_go(void **state) {
  (void)state;
  struct resolver resolver = {0};
  bool answered = true;
  struct addresses found = {0};
  assert_int_equal(resolver_take(&resolver, &answered, &found), OK);
  assert_false(answered);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(resolver_ask(&resolver, "no-such-host.invalid", 1), OK);
    const struct question *asked = resolver.asked;
    assert_int_equal(resolver_ask(&resolver, "no-such-host.invalid", 1), OK);
    assert_ptr_equal(resolver.asked, asked);
    resolver_close(&resolver);
  }
  resolver_close(&resolver);
}

/* Threads that are let go of may still ask a name server when the program ends; what the C library
 * keeps for such a thread is then no leak of ours. Read by the leak sanitizer, where there is one.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:__res_context_send\n"; }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_localhost),
      cmocka_unit_test(test_no_such_name),
      cmocka_unit_test(test_letting_go),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
