/* test_previews.c - the room that a BEAT has for previews goes round among the jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "worker/previews.h"

enum { SCRATCH_BYTES = 1 << 20, IMAGES_MAX = JOB_IMAGES_MAX, PER_BEAT = 6 };
_Static_assert(PER_BEAT *PREVIEW_BYTES_MAX == BEAT_PREVIEW_BYTES_MAX, "six of the largest");

static struct worker worker;
static struct picture pictures[HELD_MAX][IMAGES_MAX];
static unsigned told[HELD_MAX][IMAGES_MAX];

/* Jobs of so many images each, none with a preview. */
static int setup(void **state) {
  (void)state;
  memset(told, 0, sizeof told);
  memset(pictures, 0, sizeof pictures);
  worker = (struct worker){0};
  assert_int_equal(arena_open(NULL, SCRATCH_BYTES, &worker.scratch), OK);
  for (size_t i = 0; i < HELD_MAX; i++) {
    worker.held.row[i] = (struct held){.state = HELD_RUNNING, .images = 1, .picture = pictures[i]};
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (size_t i = 0; i < HELD_MAX; i++) {
    for (size_t k = 0; k < IMAGES_MAX; k++) {
      bytes_close(&pictures[i][k].preview.jpeg);
    }
  }
  arena_close(&worker.scratch);
  return 0;
}

static void look_again(size_t job, size_t image, size_t bytes) {
  struct preview *preview = &pictures[job][image].preview;
  uint8_t *room = NULL;
  bytes_close(&preview->jpeg);
  bytes_open(&preview->jpeg, PREVIEW_BYTES_MAX);
  assert_int_equal(bytes_reserve(&preview->jpeg, bytes, &room), OK);
  preview->jpeg.length = bytes;
  preview->fresh = true;
}

/* Says a BEAT of these jobs and counts what it tells of each; how many in all. */
static size_t beat(const size_t *jobs, size_t count) {
  Darkroom__V1__Progress rows[HELD_MAX];
  struct preview_turn turns[HELD_MAX];
  size_t bytes = 0;
  size_t all = 0;
  arena_drop(worker.scratch);
  for (size_t i = 0; i < count; i++) {
    darkroom__v1__progress__init(&rows[i]);
    turns[i] = (struct preview_turn){&worker.held.row[jobs != NULL ? jobs[i] : i], &rows[i]};
  }
  previews_share(&worker, turns, count);
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < rows[i].n_preview; k++) {
      bytes += rows[i].preview[k]->jpeg.len;
      told[jobs != NULL ? jobs[i] : i][rows[i].preview[k]->index]++;
      all++;
    }
  }
  assert_true(bytes <= BEAT_PREVIEW_BYTES_MAX);
  return all;
}

static void a_hundred_jobs_take_turns(void **state) {
  (void)state;
  for (size_t round = 0; round < 3 * HELD_MAX; round += PER_BEAT) {
    for (size_t i = 0; i < HELD_MAX; i++) {
      look_again(i, 0, PREVIEW_BYTES_MAX); /* each has a new one before every BEAT */
    }
    assert_int_equal(beat(NULL, HELD_MAX), PER_BEAT);
  }
  for (size_t i = 0; i < HELD_MAX; i++) {
    assert_int_equal(told[i][0], 3);
  }
}

static void many_images_are_one_job(void **state) {
  (void)state;
  worker.held.row[0].images = IMAGES_MAX;
  for (size_t k = 0; k < IMAGES_MAX; k++) {
    look_again(0, k, PREVIEW_BYTES_MAX);
  }
  for (size_t i = 1; i < 4; i++) {
    look_again(i, 0, PREVIEW_BYTES_MAX);
  }
  assert_int_equal(beat(NULL, 4), PER_BEAT);
  for (size_t i = 1; i < 4; i++) {
    assert_int_equal(told[i][0], 1);
  }
  for (size_t beats = 1; beats < (IMAGES_MAX + 3 + PER_BEAT - 1) / PER_BEAT; beats++) {
    assert_true(beat(NULL, 4) > 0);
  }
  for (size_t k = 0; k < IMAGES_MAX; k++) {
    assert_int_equal(told[0][k], 1); /* each image had its turn, too */
  }
  assert_int_equal(beat(NULL, 4), 0);
}

static void a_large_one_is_not_passed_over(void **state) {
  (void)state;
  for (size_t beats = 0; beats < 4; beats++) {
    for (size_t i = 0; i < HELD_MAX; i++) {
      look_again(i, 0, i == 7 ? PREVIEW_BYTES_MAX : PREVIEW_BYTES_MAX / 2 + 1);
    }
    beat(NULL, 16);
  }
  assert_true(told[7][0] >= 2);
}

static void jobs_come_and_go(void **state) {
  (void)state;
  static const size_t some[] = {3, 50, 99};
  for (size_t i = 0; i < HELD_MAX; i++) {
    look_again(i, 0, PREVIEW_BYTES_MAX);
  }
  assert_int_equal(beat(NULL, HELD_MAX), PER_BEAT); /* 0 to 5 */
  assert_int_equal(beat(some, 3), 2);               /* 3 has been told */
  assert_int_equal(told[50][0] + told[99][0], 2);
  assert_int_equal(beat(some, 3), 0);
  assert_int_equal(beat(NULL, 0), 0);
  assert_int_equal(beat(NULL, HELD_MAX), PER_BEAT);
  assert_true(previews_waiting(&worker.held.row[98]));
  assert_false(previews_waiting(&worker.held.row[50]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_hundred_jobs_take_turns, setup, teardown),
      cmocka_unit_test_setup_teardown(many_images_are_one_job, setup, teardown),
      cmocka_unit_test_setup_teardown(a_large_one_is_not_passed_over, setup, teardown),
      cmocka_unit_test_setup_teardown(jobs_come_and_go, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
