/* test_link.c - one broker at a time, and another when it falls silent. */
#include "worker/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "base/limits.h"
#include "tests/unit/worker/played.h"

enum { SILENCE_MS = 500 };

static struct played first, second;
static struct link link_here;

static int setup(void **state) {
  (void)state;
  static const char *endpoints[2];
  played_open(&first);
  played_open(&second);
  endpoints[0] = first.endpoint;
  endpoints[1] = second.endpoint;
  clock_hold(1000, 1000);
  struct dealer_options options = {.endpoints = endpoints, .count = 2};
  return link_open(&link_here, &options, SILENCE_MS) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  link_close(&link_here);
  played_close(&first);
  played_close(&second);
  clock_let_go();
  return 0;
}

static uint64_t ask(void) {
  Darkroom__V1__Beat beat = DARKROOM__V1__BEAT__INIT;
  return link_ask(&link_here, WIRE_BEAT, &beat.base);
}

static void answer(struct played *broker) {
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  played_say(broker, WIRE_ORDERS, broker->message.correlation, &orders.base);
}

/* What came in; NOTHING when nothing did. */
static enum wire_got hear(void) {
  struct wire_message message = {0};
  (void)played_wait(link_here.dealer.socket, PLAYED_QUIET_MS * 10);
  assert_int_equal(link_receive(&link_here, &message), OK);
  enum wire_got got = message.got;
  wire_message_close(&message);
  return got;
}

static void an_answer_ends_the_waiting(void **state) {
  (void)state;
  assert_false(link_alive(&link_here)); /* nobody has ever said anything */
  assert_int_equal(link_due_ms(&link_here), INT64_MAX);
  uint64_t number = ask();
  assert_int_equal(link_due_ms(&link_here), 1000 + SILENCE_MS);
  played_hear(&first, WIRE_BEAT);
  assert_int_equal(first.message.correlation, number);
  clock_move(100);
  assert_int_equal(ask(), number + 1); /* the oldest question counts */
  assert_int_equal(link_due_ms(&link_here), 1000 + SILENCE_MS);
  answer(&first);
  assert_int_equal(hear(), WIRE_MESSAGE);
  assert_true(link_alive(&link_here));
  assert_int_equal(link_due_ms(&link_here), INT64_MAX);
  assert_false(link_tend(&link_here, clock_ms() + 10 * SILENCE_MS));
}

static void what_expects_no_answer_starts_no_waiting(void **state) {
  (void)state;
  Darkroom__V1__Claim claim = DARKROOM__V1__CLAIM__INIT;
  uint64_t number = link_tell(&link_here, WIRE_CLAIM, &claim.base);
  played_hear(&first, WIRE_CLAIM);
  assert_int_equal(first.message.correlation, number);
  assert_int_equal(link_due_ms(&link_here), INT64_MAX);
}

static void a_silent_broker_is_left_for_the_next(void **state) {
  (void)state;
  ask();
  played_hear(&first, WIRE_BEAT);
  answer(&first);
  assert_int_equal(hear(), WIRE_MESSAGE);
  ask();
  played_hear(&first, WIRE_BEAT);
  assert_false(link_tend(&link_here, clock_ms() + SILENCE_MS - 1));
  assert_true(link_tend(&link_here, clock_ms() + SILENCE_MS));
  assert_false(link_alive(&link_here));
  assert_int_equal(link_due_ms(&link_here), INT64_MAX); /* it has not been asked yet */
  Darkroom__V1__Orders late = DARKROOM__V1__ORDERS__INIT;
  (void)wire_send(first.router, &first.message.from, WIRE_ORDERS, 1, &late.base);
  ask();
  played_hear(&second, WIRE_BEAT);
  assert_int_equal(hear(), WIRE_NOTHING); /* what the one that was left says is not heard */
  answer(&second);
  assert_int_equal(hear(), WIRE_MESSAGE);
  assert_true(link_alive(&link_here));
  played_hear_nothing(&first);
}

static void the_last_broker_is_followed_by_the_first(void **state) {
  (void)state;
  for (int left = 0; left < 4; left++) {
    struct played *broker = left % 2 == 0 ? &first : &second;
    ask();
    played_hear(broker, WIRE_BEAT);
    assert_true(link_tend(&link_here, clock_ms() + SILENCE_MS));
    assert_int_equal(link_here.silent, left + 1);
  }
}

/* More than any fleet needs: it is left at once, and what it said goes with the connection. */
static void a_flooding_broker_is_left_for_the_next(void **state) {
  (void)state;
  ask();
  played_hear(&first, WIRE_BEAT);
  link_here.dealer.meter.messages = FLOOD_MESSAGES_MAX; /* as many as may come in a second */
  link_here.dealer.meter.second_ms = clock_ms();
  answer(&first);
  assert_int_equal(hear(), WIRE_NOTHING);
  assert_null(link_here.dealer.socket);
  assert_int_equal(link_due_ms(&link_here), 0);
  assert_true(link_tend(&link_here, clock_ms()));
  assert_false(link_tend(&link_here, clock_ms()));
  ask();
  played_hear(&second, WIRE_BEAT);
  answer(&second);
  assert_int_equal(hear(), WIRE_MESSAGE);
  assert_true(link_alive(&link_here));
}

static void an_endpoint_that_cannot_be_is_known_at_once(void **state) {
  (void)state;
  const char *const endpoints[] = {first.endpoint, "tcp:/nonsense"};
  struct link bad;
  struct dealer_options options = {.endpoints = endpoints, .count = 2};
  assert_int_equal(link_open(&bad, &options, SILENCE_MS), BAD_INPUT);
  assert_string_equal(fail_field_name(), "broker");
  assert_non_null(strstr(fail_reason(), "tcp:/nonsense"));
  link_close(&bad);
  link_close(&bad); /* twice is once */
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(an_answer_ends_the_waiting),
      TEST(what_expects_no_answer_starts_no_waiting),
      TEST(a_silent_broker_is_left_for_the_next),
      TEST(the_last_broker_is_followed_by_the_first),
      TEST(a_flooding_broker_is_left_for_the_next),
      TEST(an_endpoint_that_cannot_be_is_known_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
