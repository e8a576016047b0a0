/* test_context.c - a context that cannot end holds up nobody; a socket left open stands for the
 * name server that does not answer, because ending waits for both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <zmq.h>

#include "base/clock.h"
#include "base/limits.h"
#include "proto/context.h"

/* Tries until one may be opened again. */
static void expect_room(void) {
  void *context = NULL;
  for (int i = 0; i < 10000 && context_open(&context) != OK; i++) {
    clock_sleep_ms(1);
  }
  assert_non_null(context);
  context_close(&context, 1000);
  assert_null(context);
}

static void test_nobody_waits(void **state) {
  (void)state;
  void *socket[CONTEXTS_ENDING_MAX], *context = NULL;
  for (int i = 0; i < CONTEXTS_ENDING_MAX; i++) {
    assert_int_equal(context_open(&context), OK);
    socket[i] = zmq_socket(context, ZMQ_DEALER);
    assert_non_null(socket[i]);
    context_close(&context, i % 2); /* comes back, or this test never ends */
    assert_null(context);
  }
  context = &context;
  assert_int_equal(context_open(&context), EXHAUSTED);
  assert_ptr_equal(context, &context);
  for (int i = 0; i < CONTEXTS_ENDING_MAX; i++) {
    zmq_close(socket[i]);
  }
  expect_room();
}

static void test_nothing_to_close(void **state) {
  (void)state;
  void *none = NULL;
  context_close(&none, 1000);
  assert_null(none);
  for (int i = 0; i < 3 * CONTEXTS_ENDING_MAX; i++) { /* which end in time, one after the other */
    expect_room();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nobody_waits),
      cmocka_unit_test(test_nothing_to_close),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
