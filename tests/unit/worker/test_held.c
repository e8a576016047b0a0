/* test_held.c - the table of held jobs: rows are found, filled from an assignment, and given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/held.h"

static struct held_table table;

static struct held *take(const char *id, uint64_t fence, uint32_t images) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)id;
  job.has_images = 1;
  job.images = images;
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  assign.job = &job;
  assign.has_fence = 1;
  assign.fence = fence;
  uint8_t packed[256];
  size_t bytes = darkroom__v1__assign__pack(&assign, packed);
  return held_take(&table, packed, bytes);
}

static void drop_all(void) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&table, &at)) != NULL;) {
    held_drop(held);
  }
  assert_int_equal(held_count(&table), 0);
}

static void jobs_are_found_by_id_and_fence(void **state) {
  (void)state;
  struct held *first = take("a", 1, 2);
  struct held *second = take("a", 2, 1);
  assert_non_null(first);
  assert_string_equal(first->job->id, "a");
  assert_int_equal(first->images, 2);
  assert_ptr_equal(held_find(&table, "a", 2), second);
  assert_null(held_find(&table, "a", 3));
  assert_null(held_find(&table, NULL, 1));
  first->state = HELD_LEAVING;
  assert_ptr_equal(held_find_id(&table, NULL, "a"), second); /* not the one that is going */
  second->offer = (struct offer){.verb = WIRE_START, .correlation = 9};
  assert_ptr_equal(held_find_offer(&table, 9), second);
  assert_null(held_find_offer(&table, 0));
  drop_all();
}

static void pictures_are_counted(void **state) {
  (void)state;
  struct held *held = take("a", 1, 3);
  assert_false(held_all_stored(held));
  held->picture[0].state = PICTURE_STORED;
  held->picture[1].state = PICTURE_MAKING;
  held->picture[2].state = PICTURE_WAITING;
  held->state = HELD_STORING;
  assert_int_equal(held_unstored_total(&table).pictures, 2);
  assert_int_equal(bytes_append_text(&held->picture[2].png, "kept"), OK);
  held->picture[1].state = held->picture[2].state = PICTURE_STORED;
  assert_true(held_all_stored(held));
  drop_all(); /* with the kept picture */
}

static void a_full_table_and_nonsense_are_refused(void **state) {
  (void)state;
  assert_null(take("a", 1, 0));
  assert_null(take("a", 1, JOB_IMAGES_MAX + 1));
  assert_null(held_take(&table, (const uint8_t *)"\xff\xff", 2));
  assert_null(held_take(&table, NULL, 0));
  assert_int_equal(held_count(&table), 0);
  for (int i = 0; i < HELD_MAX; i++) {
    char id[16];
    snprintf(id, sizeof id, "job%d", i);
    assert_non_null(take(id, 1, 1));
  }
  assert_null(take("one-more", 1, 1));
  drop_all();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(jobs_are_found_by_id_and_fence),
      cmocka_unit_test(pictures_are_counted),
      cmocka_unit_test(a_full_table_and_nonsense_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
