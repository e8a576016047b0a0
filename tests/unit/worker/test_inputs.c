/* test_inputs.c - how many jobs' files are asked for at once: what is on its way is counted like
 * what is here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "tests/unit/worker/played_job.h"
#include "worker/inputs.h"
#include "worker/placement.h"

/* An ASSIGN of a job with one adapter at a URL; bytes 0: it does not say how many it has. */
static struct held *bring(const char *id, uint64_t bytes) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign message = DARKROOM__V1__ASSIGN__INIT;
  Darkroom__V1__Adapter adapter = DARKROOM__V1__ADAPTER__INIT, *adapters[] = {&adapter};
  Darkroom__V1__Blob blob = DARKROOM__V1__BLOB__INIT;
  blob.url = (char *)"s3://inputs/a";
  blob.has_bytes = bytes > 0;
  blob.bytes = bytes;
  adapter.blob = &blob;
  job.id = (char *)id;
  job.model = (char *)"m";
  job.has_images = job.has_steps = job.has_width = job.has_height = job.has_seed = 1;
  job.images = job.steps = 1;
  job.width = job.height = SIDE;
  job.n_adapter = 1;
  job.adapter = adapters;
  message.job = &job;
  message.has_fence = 1;
  message.fence = 1;
  played_say(&broker, WIRE_ASSIGN, worker.claim_correlation, &message.base);
  hear_out();
  struct held *held = held_find(&worker.held, id, 1);
  assert_non_null(held);
  return held;
}

/* The fetch that is under way comes back without its files. */
static void not_fetched(enum status status) {
  handed_back = sent_take(MEDIA_FETCH);
  assert_non_null(handed_back);
  handed_back->status = status;
  pictures_take_all(&worker);
}

static void files_on_their_way_are_counted(void **state) {
  (void)state;
  options.inputs_mib = 100;
  options.fetch_seconds = 60;
  welcome();
  struct held *first = bring("first", 60 << 20);
  struct held *second = bring("second", 60 << 20);
  struct held *small = bring("small", 30 << 20);
  assert_true(first->inputs.out);
  assert_false(second->inputs.out); /* 120 are more than 100, though nothing has come yet */
  assert_true(small->inputs.out);
  /* nobody spins until there is room: what comes next is that the others are slow */
  assert_int_equal(inputs_due_ms(&worker), first->inputs.begun_ms + HELD_SLOW_MS);
  clock_hold(clock_ms() + HELD_SLOW_MS, 0);
  assert_int_equal(inputs_due_ms(&worker), INT64_MAX);
  not_fetched(BAD_INPUT);
  inputs_tend(&worker, clock_ms());
  assert_true(second->inputs.out);
}

static void one_at_least_is_fetched_for_however_large(void **state) {
  (void)state;
  options.inputs_mib = 1;
  options.fetch_seconds = 60;
  welcome();
  assert_true(bring("first", 0)->inputs.out);
  assert_false(bring("second", 0)->inputs.out);
}

/* Who waits for a slow place takes no slot: others are asked for in its stead. */
static void slow_places_take_no_slots(void **state) {
  (void)state;
  char id[24];
  options.inputs_mib = 1000;
  options.fetch_seconds = 60;
  welcome();
  for (int i = 0; i < 2 * SLOTS; i++) {
    snprintf(id, sizeof id, "slow-%d", i);
    assert_true(bring(id, 1000)->inputs.out);
  }
  assert_int_equal(placement_free_slots(&worker, 0), 0);
  clock_hold(clock_ms() + HELD_SLOW_MS, 0);
  assert_int_equal(placement_free_slots(&worker, 0), SLOTS);
}

/* Nor do they fill the table: the one that has taken longest goes back, to be tried again. */
static void slow_places_leave_rows(void **state) {
  (void)state;
  enum { SLOW_MAX = HELD_MAX / 3 };
  char id[24];
  options.inputs_mib = 1000;
  options.fetch_seconds = 60;
  welcome();
  for (int i = 0; i <= SLOW_MAX; i++) {
    snprintf(id, sizeof id, "slow-%d", i);
    bring(id, 1000);
    clock_hold(clock_ms() + 1, 0);
  }
  struct held *first = held_find_id(&worker.held, NULL, "slow-0");
  inputs_tend(&worker, clock_ms());
  assert_int_equal(first->state, HELD_FETCHING);
  clock_hold(clock_ms() + HELD_SLOW_MS, 0);
  inputs_tend(&worker, clock_ms());
  assert_int_equal(first->state, HELD_ENDING);
  assert_int_equal(first->fail_kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_string_equal(abandoned, "slow-0.1");
  inputs_tend(&worker, clock_ms());
  assert_int_equal(held_find_id(&worker.held, NULL, "slow-1")->state, HELD_FETCHING);
}

/* The task knows whether it has had its turn, and when all turns end. */
static void a_task_knows_its_turns(void **state) {
  (void)state;
  options.inputs_mib = 100;
  options.fetch_seconds = 60;
  welcome();
  struct held *held = bring("job", 1000);
  int64_t begun_ms = clock_ms();
  assert_false(sent[0]->again);
  assert_int_equal(sent[0]->until_ms, begun_ms + 60000);
  not_fetched(UNAVAILABLE);
  clock_hold(held->inputs.due_ms, 0);
  inputs_tend(&worker, clock_ms());
  assert_true(sent[0]->again);
  assert_int_equal(sent[0]->until_ms, begun_ms + 60000);
  clock_hold(begun_ms + 60000, 0);
  not_fetched(UNAVAILABLE);
  assert_int_equal(held->state, HELD_ENDING);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(files_on_their_way_are_counted, setup, teardown),
      cmocka_unit_test_setup_teardown(one_at_least_is_fetched_for_however_large, setup, teardown),
      cmocka_unit_test_setup_teardown(slow_places_take_no_slots, setup, teardown),
      cmocka_unit_test_setup_teardown(slow_places_leave_rows, setup, teardown),
      cmocka_unit_test_setup_teardown(a_task_knows_its_turns, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
