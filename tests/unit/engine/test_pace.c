/* test_pace.c - rates as measured, scaled where nothing was. */
#include "worker/engine/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char one, other; /* two models */

static struct pace_work step(const void *model, int64_t cells, int rows) {
  return (struct pace_work){.model = model, .kind = PACE_STEP, .cells = cells, .rows = rows};
}

static void while_nothing_is_known_a_turn_is_as_short_as_can_be(void **state) {
  (void)state;
  struct pace pace = {0};
  struct pace_work work = step(&one, 64, 16);
  assert_int_equal(pace_expect(&pace, &work), 0);
  assert_int_equal(pace_rows(&pace, &work, 2, 16), 2);
  pace_note(&pace, &(struct pace_work){.model = &one, .kind = PACE_DECODE, .cells = 64, .rows = 1},
            100);
  pace_note(&pace, &(struct pace_work){.model = &other, .kind = PACE_STEP, .cells = 64, .rows = 1},
            100);
  assert_int_equal(pace_rows(&pace, &work, 2, 16), 2); /* another kind, another model */
}

static void rows_fill_the_turn_and_no_more(void **state) {
  (void)state;
  struct pace pace = {0};
  struct pace_work work = step(&one, 64, 2);
  pace_note(&pace, &work, 2 * PACE_TURN_US / 7);
  assert_int_equal(pace_rows(&pace, &work, 2, 16), 6);
  assert_int_equal(pace_rows(&pace, &work, 2, 4), 4);
  assert_int_equal(pace_rows(&pace, &work, 1, 1), 1);
  struct pace_work large = step(&one, 640, 2);
  assert_int_equal(pace_rows(&pace, &large, 2, 16),
                   2); /* a picture's rows, though they take long */
  assert_in_range(pace_expect(&pace, &large), 20 * PACE_TURN_US / 7, 20 * PACE_TURN_US / 7 + 99);
}

static void the_nearest_size_is_scaled(void **state) {
  (void)state;
  struct pace pace = {0};
  struct pace_work small = step(&one, 100, 1), large = step(&one, 10000, 1);
  pace_note(&pace, &small, 1000);
  pace_note(&pace, &large, 500000);
  struct pace_work near_small = step(&one, 200, 1), near_large = step(&one, 5000, 1);
  assert_in_range(pace_expect(&pace, &near_small), 2000, 2010);
  assert_in_range(pace_expect(&pace, &near_large), 250000, 250010);
}

/* Nets and adapters are shapes of their own: expected to take more until it is known how much. */
static void nets_and_adapters_are_shapes_of_their_own(void **state) {
  (void)state;
  struct pace pace = {0};
  struct pace_work plain = step(&one, 64, 1), steered = plain, adapted = plain;
  steered.nets = 4;
  adapted.adapted = true;
  pace_note(&pace, &plain, PACE_TURN_US / 8);
  assert_int_equal(pace_rows(&pace, &plain, 1, 16), 7); /* a microsecond is added */
  assert_int_equal(pace_rows(&pace, &steered, 1, 16), 2);
  assert_true(pace_expect(&pace, &adapted) > pace_expect(&pace, &plain));
  pace_note(&pace, &steered, PACE_TURN_US / 5);
  pace_note(&pace, &adapted, PACE_TURN_US / 6);
  assert_int_equal(pace_rows(&pace, &plain, 1, 16), 7); /* as it was */
  assert_int_equal(pace_rows(&pace, &steered, 1, 16), 4);
  assert_int_equal(pace_rows(&pace, &adapted, 1, 16), 5);
}

/* More shapes than there are places: the ones that come often keep theirs. */
static void the_shape_not_seen_for_longest_goes(void **state) {
  (void)state;
  struct pace pace = {0};
  struct pace_work often = step(&one, 1000, 1);
  for (int64_t cells = 1; cells <= 3 * (int64_t)PACE_SHAPES_MAX; cells++) {
    struct pace_work once = step(&other, cells, 1);
    pace_note(&pace, &once, 5);
    pace_note(&pace, &often, 777);
  }
  assert_in_range(pace_expect(&pace, &often), 777, 778);
  int places = 0;
  for (int i = 0; i < PACE_SHAPES_MAX; i++) {
    places += pace.shape[i].model == &one;
  }
  assert_int_equal(places, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(while_nothing_is_known_a_turn_is_as_short_as_can_be),
      cmocka_unit_test(rows_fill_the_turn_and_no_more),
      cmocka_unit_test(the_nearest_size_is_scaled),
      cmocka_unit_test(nets_and_adapters_are_shapes_of_their_own),
      cmocka_unit_test(the_shape_not_seen_for_longest_goes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
