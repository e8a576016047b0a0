/* test_pictures.c - finished pictures on their way: what is taken from the engine, when an attempt
 * is sealed, what beats tell of it, and a store that is away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "tests/unit/worker/played_job.h"

/* A job that runs in the engine, START acknowledged. */
static struct held *running(uint32_t images) {
  welcome();
  struct held *held = assign("a", 5, images);
  report_started("a", 5);
  hear(WIRE_START);
  acknowledge("a", 5, DARKROOM__V1__ACK_RESULT__ACK_OK);
  return held;
}

/* The next BEAT's row of the job. */
static const Darkroom__V1__Progress *beat(void) {
  clock_move(BEAT_MS);
  const Darkroom__V1__Beat *message = (const Darkroom__V1__Beat *)hear(WIRE_BEAT);
  assert_int_equal(message->n_progress, 1);
  return message->progress[0];
}

static void hand_back(struct media_task *task, enum status status) {
  assert_non_null(task);
  task->status = status;
  task->encoded = task->spooled = true;
  snprintf(task->reason, sizeof task->reason, "as the test wants it");
  handed_back = task;
  pictures_take_all(&worker);
}

/* ---- from the engine ---- */

static void a_picture_of_another_size_or_index_fails_the_job(void **state) {
  (void)state;
  static const struct { uint32_t index, width; } wrong[] = {{2, SIDE}, {0, SIDE * 2}};
  for (uint64_t i = 0; i < 2; i++) {
    if (i == 0) {
      welcome();
    }
    struct held *held = assign("a", 5 + i, 2);
    report_started("a", 5 + i);
    report_pixels("a", 5 + i, wrong[i].index, wrong[i].width);
    assert_int_equal(held->state, HELD_ENDING);
    assert_int_equal(held->offer.verb, WIRE_FAIL);
    assert_int_equal(held->fail_kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
    assert_null(sent_take(MEDIA_FINISH));
    assert_int_equal(held->received, 0);
  }
}

static void a_picture_that_comes_twice_fails_the_job(void **state) {
  (void)state;
  struct held *held = running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 0, SIDE);
  assert_int_equal(held->offer.verb, WIRE_FAIL);
  assert_int_equal(held->received, 1);
}

static void an_engine_that_ends_early_fails_the_job(void **state) {
  (void)state;
  struct held *held = running(2);
  report_pixels("a", 5, 0, SIDE);
  report_finished("a", 5);
  assert_int_equal(held->offer.verb, WIRE_FAIL);
}

static void a_report_of_an_older_attempt_is_passed_over(void **state) {
  (void)state;
  struct held *held = running(1);
  report_pixels("a", 4, 0, SIDE);
  report_finished("a", 4);
  assert_int_equal(held->state, HELD_RUNNING);
  assert_int_equal(held->received, 0);
}

/* ---- the seal ---- */

/* A seal vouches for all pictures: a worker that dies before the last is on the disk must not have
 * left one. */
static void an_attempt_is_sealed_with_its_last_picture(void **state) {
  (void)state;
  running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  done(MEDIA_FINISH);
  report_finished("a", 5);
  assert_null(sent_take(MEDIA_SEAL)); /* one is still out */
  done(MEDIA_FINISH);
  struct media_task *seal = sent_take(MEDIA_SEAL);
  assert_non_null(seal);
  assert_string_equal(seal->id, "a");
  assert_int_equal(seal->fence, 5);
  assert_true(seal->payload.length > 0);
  hand_back(seal, OK);
  assert_null(sent_take(MEDIA_SEAL)); /* once */
}

static void what_failed_is_not_sealed(void **state) {
  (void)state;
  running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  done(MEDIA_FINISH);
  report_finished("a", 5);
  order("a", NULL);
  played_hear(&broker, WIRE_FAIL);
  done(MEDIA_FINISH);
  assert_null(sent_take(MEDIA_SEAL));
}

static void it_is_handed_in_when_the_last_picture_is_stored(void **state) {
  (void)state;
  struct held *held = running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  report_finished("a", 5);
  done(MEDIA_FINISH);
  assert_int_equal(held->offer.verb, 0);
  hand_back(sent_take(MEDIA_FINISH), UNAVAILABLE);
  assert_int_equal(held->offer.verb, 0);
  clock_move(60000);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
  assert_int_equal(held->offer.verb, WIRE_COMPLETE);
}

/* ---- beats ---- */

static void a_picture_is_told_in_one_beat(void **state) {
  (void)state;
  running(2);
  assert_int_equal(beat()->n_image, 0);
  report_pixels("a", 5, 1, SIDE);
  assert_int_equal(beat()->n_image, 0); /* it is not stored yet */
  done(MEDIA_FINISH);
  const Darkroom__V1__Progress *progress = beat();
  assert_int_equal(progress->n_image, 1);
  assert_int_equal(progress->image[0]->index, 1);
  assert_int_equal(progress->image[0]->seed, 101);
  assert_string_equal(progress->image[0]->url, "file:/nowhere/1.png");
  assert_int_equal(beat()->n_image, 0);
  report_pixels("a", 5, 0, SIDE);
  done(MEDIA_FINISH);
  assert_int_equal(beat()->n_image, 1);
  report_finished("a", 5);
  const Darkroom__V1__Complete *complete = (const Darkroom__V1__Complete *)hear(WIRE_COMPLETE);
  assert_int_equal(complete->n_image, 2); /* which tells all of them, whatever beats have told */
}

/* One of an earlier life is told under its own generation, or not at all. */
static void a_beat_names_jobs_of_its_generation(void **state) {
  (void)state;
  struct held *held = running(1);
  assert_string_equal(beat()->id, "a");
  held->generation = GENERATION - 1;
  clock_move(BEAT_MS);
  assert_int_equal(((const Darkroom__V1__Beat *)hear(WIRE_BEAT))->n_progress, 0);
}

/* ---- a store that is away ---- */

static void one_picture_asks_a_store_that_is_away_for_all(void **state) {
  (void)state;
  struct held *held = running(3);
  for (uint32_t i = 0; i < 3; i++) {
    report_pixels("a", 5, i, SIDE);
    hand_back(sent_take(MEDIA_FINISH), UNAVAILABLE);
  }
  report_finished("a", 5);
  assert_true(worker.store.away);
  assert_int_equal(held->state, HELD_STORING);
  pictures_tend(&worker, clock_ms());
  assert_null(sent_take(MEDIA_STORE)); /* not before it is due */
  clock_move(60000);
  pictures_tend(&worker, clock_ms());
  pictures_tend(&worker, clock_ms());
  struct media_task *first = sent_take(MEDIA_STORE);
  assert_non_null(first);
  assert_null(sent_take(MEDIA_STORE)); /* one, until it has answered */
  hand_back(first, OK);
  assert_false(worker.store.away);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
  done(MEDIA_STORE);
  assert_int_equal(held->offer.verb, WIRE_COMPLETE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_picture_of_another_size_or_index_fails_the_job),
      TEST(a_picture_that_comes_twice_fails_the_job),
      TEST(an_engine_that_ends_early_fails_the_job),
      TEST(a_report_of_an_older_attempt_is_passed_over),
      TEST(an_attempt_is_sealed_with_its_last_picture),
      TEST(what_failed_is_not_sealed),
      TEST(it_is_handed_in_when_the_last_picture_is_stored),
      TEST(a_picture_is_told_in_one_beat),
      TEST(a_beat_names_jobs_of_its_generation),
      TEST(one_picture_asks_a_store_that_is_away_for_all),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
