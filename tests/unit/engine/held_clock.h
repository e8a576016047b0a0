/* held_clock.h - an engine's tests under a clock that does not move by itself. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_HELD_CLOCK_H
#define DARKROOM_TESTS_UNIT_ENGINE_HELD_CLOCK_H

#include "base/clock.h"
#include "tests/unit/engine/fake_engine.h"

static int held_setup(void **state) {
  clock_hold(1000, 0);
  return setup(state);
}
static int held_teardown(void **state) {
  int status = teardown(state);
  clock_let_go();
  return status;
}
#define HELD_TEST(name) cmocka_unit_test_setup_teardown(name, held_setup, held_teardown)

#endif
