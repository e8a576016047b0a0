/* test_pictures.c - finished pictures on their way: what is taken from the engine, when an attempt
 * is sealed, what beats tell of it, and a store that is away or says no.
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

/* The picture is made and sent to the store, which refuses it in these words. */
static void refused_with(enum status status, const char *words) {
  pictures_tend(&worker, clock_ms());
  struct media_task *task = sent_take(MEDIA_STORE);
  assert_non_null(task);
  task->status = status;
  snprintf(task->reason, sizeof task->reason, "%s", words);
  handed_back = task;
  pictures_take_all(&worker);
}

/* A job whose engine is through, its pictures in the spool. */
static struct held *spooled(uint32_t images) {
  struct held *held = running(images);
  for (uint32_t i = 0; i < images; i++) {
    report_pixels("a", 5, i, SIDE);
    done(MEDIA_FINISH);
  }
  report_finished("a", 5);
  done(MEDIA_SEAL);
  return held;
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

/* Nor is what this machine's disk has not: a next life could not hand it in. */
static void what_is_only_in_memory_is_not_sealed(void **state) {
  (void)state;
  struct held *held = running(1);
  report_pixels("a", 5, 0, SIDE);
  report_finished("a", 5);
  struct media_task *task = sent_take(MEDIA_FINISH);
  task->status = OK;
  task->encoded = true;
  snprintf(task->reason, sizeof task->reason, "no room");
  assert_int_equal(bytes_append_text(&task->file, "the picture"), OK);
  handed_back = task;
  pictures_take_all(&worker);
  assert_null(sent_take(MEDIA_SEAL));
  assert_true(worker.spool_watch.full);
  pictures_tend(&worker, clock_ms());
  task = sent_take(MEDIA_STORE);
  assert_non_null(task);
  assert_string_equal(bytes_text(&task->file), "the picture");
  bytes_clear(&task->file); /* it has been spooled meanwhile, and the store refuses it */
  hand_back(task, EXHAUSTED);
  assert_false(worker.spool_watch.full);
  assert_int_equal(held->state, HELD_STORING);
  done(MEDIA_SEAL);
  assert_int_equal(held->state, HELD_STORING);
}

/* A full disk beside a store that is well holds up nothing once the picture is stored. */
static void a_full_spool_is_no_trouble_while_nothing_needs_it(void **state) {
  (void)state;
  running(1);
  report_pixels("a", 5, 0, SIDE);
  struct media_task *task = sent_take(MEDIA_FINISH);
  task->status = OK;
  task->encoded = true;
  assert_int_equal(bytes_append_text(&task->file, "the picture"), OK);
  handed_back = task;
  pictures_take_all(&worker);
  assert_true(worker.spool_watch.full);
  pictures_tend(&worker, clock_ms());
  task = sent_take(MEDIA_STORE);
  bytes_clear(&task->file);
  task->status = OK;
  handed_back = task;
  pictures_take_all(&worker);
  assert_false(worker.spool_watch.full);
}

static void the_seal_says_what_each_picture_hashes_to(void **state) {
  (void)state;
  running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  done(MEDIA_FINISH);
  done(MEDIA_FINISH);
  report_finished("a", 5);
  struct media_task *seal = sent_take(MEDIA_SEAL);
  Darkroom__V1__Complete *complete =
      darkroom__v1__complete__unpack(NULL, seal->payload.length, seal->payload.data);
  assert_int_equal(complete->n_image, 2);
  assert_int_equal(complete->image[1]->index, 1);
  assert_int_equal(complete->image[1]->bytes, 10);
  assert_int_equal(complete->image[1]->sha256[63], '1');
  darkroom__v1__complete__free_unpacked(complete, NULL);
  hand_back(seal, OK);
}

static void it_is_handed_in_when_the_last_picture_is_stored(void **state) {
  (void)state;
  struct held *held = running(2);
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  report_finished("a", 5);
  done(MEDIA_FINISH);
  done(MEDIA_FINISH);
  assert_int_equal(held->offer.verb, 0);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
  assert_int_equal(held->offer.verb, 0);
  hand_back(sent_take(MEDIA_STORE), UNAVAILABLE);
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
  picture_done();
  const Darkroom__V1__Progress *progress = beat();
  assert_int_equal(progress->n_image, 1);
  assert_int_equal(progress->image[0]->index, 1);
  assert_int_equal(progress->image[0]->seed, 101);
  assert_string_equal(progress->image[0]->url, "file:/nowhere/1.png");
  assert_int_equal(beat()->n_image, 0);
  report_pixels("a", 5, 0, SIDE);
  picture_done();
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
  struct held *held = spooled(3);
  pictures_tend(&worker, clock_ms());
  for (uint32_t i = 0; i < 3; i++) {
    hand_back(sent_take(MEDIA_STORE), UNAVAILABLE);
  }
  assert_true(worker.store.away);
  assert_false(worker.store.refused);
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

/* Whatever it says and however often: the picture waits, nothing is said of the job. */
static void no_refusal_of_the_store_ends_a_job(void **state) {
  (void)state;
  static const enum status refusals[] = {UNAVAILABLE, EXHAUSTED, BAD_INPUT, BROKEN};
  struct held *held = spooled(1);
  for (int i = 0; i < 40; i++) {
    refused_with(refusals[i % 4], "403 in its own words");
    assert_int_equal(held->state, HELD_STORING);
    assert_int_equal(held->offer.verb, 0);
    assert_null(sent_take(MEDIA_DROP));
    clock_move(60000);
  }
  char text[TROUBLE_BYTES_MAX];
  trouble_write(&worker.store, &worker.spool_watch, text);
  assert_string_equal(text, "the store refuses: 403 in its own words");
  clock_move(BEAT_MS);
  const Darkroom__V1__Beat *told = (const Darkroom__V1__Beat *)hear(WIRE_BEAT);
  assert_string_equal(told->trouble, text);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
  assert_int_equal(held->offer.verb, WIRE_COMPLETE);
  trouble_write(&worker.store, &worker.spool_watch, text);
  assert_string_equal(text, "");
  clock_move(BEAT_MS);
  hear(WIRE_BEAT);
}

/* A key that the store refuses for ever asks no more often for it, and the others get through. */
static void one_refused_picture_does_not_stand_before_the_others(void **state) {
  (void)state;
  struct held *bad = spooled(1);
  struct held *good = assign("b", 6, 1);
  report_started("b", 6);
  hear(WIRE_START);
  acknowledge("b", 6, DARKROOM__V1__ACK_RESULT__ACK_OK);
  for (int i = 0; i < 8; i++) {
    refused_with(BAD_INPUT, "this one not");
    clock_move(60000);
  }
  report_pixels("b", 6, 0, SIDE);
  done(MEDIA_FINISH);
  report_finished("b", 6);
  int asked = 0;
  for (int turns = 0; good->offer.verb != WIRE_COMPLETE && turns < 4; turns++) {
    pictures_tend(&worker, clock_ms());
    struct media_task *task = sent_take(MEDIA_STORE);
    assert_non_null(task);
    asked += strcmp(task->id, "a") == 0;
    hand_back(task, strcmp(task->id, "a") == 0 ? BAD_INPUT : OK);
    clock_move(16000);
  }
  assert_int_equal(good->offer.verb, WIRE_COMPLETE);
  assert_true(asked <= 1);
  assert_int_equal(bad->state, HELD_STORING);
}

/* The one case in which it is made again: this machine's disk has lost it. It uses no attempt. */
static void what_the_spool_has_lost_is_handed_back(void **state) {
  (void)state;
  struct held *held = spooled(1);
  pictures_tend(&worker, clock_ms());
  struct media_task *task = sent_take(MEDIA_STORE);
  assert_int_equal(task->sha256[0], '0'); /* what the copy must hash to goes along */
  task->lost = true;
  hand_back(task, BAD_INPUT);
  assert_int_equal(held->offer.verb, WIRE_RELEASE);
  assert_false(worker.store.away); /* which was not asked */
}

/* With nothing waiting a check asks. */
static void a_store_that_is_away_is_checked_when_nothing_waits(void **state) {
  (void)state;
  welcome();
  store_failed(&worker.store, EXHAUSTED, "not today", 0, clock_ms());
  clock_move(60000);
  pictures_tend(&worker, clock_ms());
  hand_back(sent_take(MEDIA_CHECK), BAD_INPUT);
  assert_true(worker.store.away && worker.store.refused);
  clock_move(60000);
  pictures_tend(&worker, clock_ms());
  hand_back(sent_take(MEDIA_CHECK), OK);
  assert_false(worker.store.away);
}

/* A store that wishes to be left alone for a time is. */
static void retry_after_is_kept(void **state) {
  (void)state;
  welcome();
  store_failed(&worker.store, UNAVAILABLE, "slow down", 30000, clock_ms());
  assert_true(pictures_due_ms(&worker) >= clock_ms() + 30000);
  clock_move(29999);
  pictures_tend(&worker, clock_ms());
  assert_null(sent_take(MEDIA_CHECK));
}

/* HELLO would have jobs of an earlier life made again: it waits while the store is away. */
static void a_next_life_waits_for_its_store(void **state) {
  (void)state;
  struct held *held = spooled(1);
  held->leftover = true;
  worker.generation = 0;
  worker.leftover_generation = GENERATION;
  worker.resuming = true;
  refused_with(EXHAUSTED, "not today");
  for (int i = 0; i < 20; i++) {
    clock_move(BEAT_MS);
    hear(WIRE_BEAT);
    assert_true(worker.resuming);
  }
  clock_move(60000);
  pictures_tend(&worker, clock_ms());
  done(MEDIA_STORE);
  assert_int_equal(held->offer.verb, WIRE_COMPLETE);
  clock_move(RESUME_MS);
  say_all();
  assert_false(worker.resuming);
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
      TEST(what_is_only_in_memory_is_not_sealed),
      TEST(a_full_spool_is_no_trouble_while_nothing_needs_it),
      TEST(the_seal_says_what_each_picture_hashes_to),
      TEST(no_refusal_of_the_store_ends_a_job),
      TEST(one_refused_picture_does_not_stand_before_the_others),
      TEST(what_the_spool_has_lost_is_handed_back),
      TEST(a_store_that_is_away_is_checked_when_nothing_waits),
      TEST(retry_after_is_kept),
      TEST(a_next_life_waits_for_its_store),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
