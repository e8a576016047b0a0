/* test_turn_length.c - a turn is bounded in time, whatever the device: rows follow the measured
 * rate, nobody is left behind, no picture changes; and the parent is told how long a turn should
 * be. */
#include "base/clock.h"
#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"
#include "worker/engine/pulse.h"

enum { JOBS = 8, NETS = 2, TURN_MS = 2000 };

static int slow_setup(void **state) {
  clock_hold(1000, 0);
  return setup(state);
}
static int slow_teardown(void **state) {
  int status = teardown(state);
  clock_let_go();
  return status;
}
#define SLOW_TEST(name) cmocka_unit_test_setup_teardown(name, slow_setup, slow_teardown)

/* The same eight guided jobs. */
static void admit_eight(struct fixture *fixture, uint32_t steps, struct entry *entries[JOBS]) {
  static char ids[JOBS][32];
  for (int k = 0; k < JOBS; k++) {
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", (uint64_t)k);
    job.steps = steps;
    entries[k] = admit(fixture, &job);
  }
}

static void rows_follow_the_rate(void **state) {
  struct fixture *fixture = *state;
  static const struct {
    int64_t row_ms;
    int rows; /* of 16 that eight guided jobs would have */
  } devices[] = {{1, 16}, {100, 16}, {190, 10}, {480, 4}, {900, 2}, {5000, 2}};
  for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
    struct engine_settings settings = standard(fixture);
    fake.row_ms = devices[i].row_ms;
    open_engine(fixture, &settings); /* its self-test is what it has measured so far */
    struct entry *entries[JOBS];
    admit_eight(fixture, 6, entries);
    run_turns(fixture, 10);
    assert_int_equal(fixture->book.largest_rows, devices[i].rows);
    assert_true(fixture->book.longest_us <= TURN_MS * 1000 || devices[i].rows == 2);
    run_all(fixture);
    for (int k = 0; k < JOBS; k++) {
      assert_int_equal(entries[k]->finished, 1);
    }
  }
}

/* Calls with nets are longer: their rows follow a rate of their own, and from the first one on. */
static void rows_with_nets_follow_theirs(void **state) {
  struct fixture *fixture = *state;
  static struct varied jobs[JOBS];
  struct engine_settings settings = standard(fixture);
  fake.row_ms = 100;
  fake.net_ms = 40;
  open_engine(fixture, &settings);
  fixture->book.longest_us = 0;
  for (int k = 0; k < JOBS; k++) {
    struct varied *one = &jobs[k];
    *one = (struct varied){0};
    snprintf(one->id, sizeof one->id, "steered-%d", k);
    one->job = job_of(one->id, "a lake", (uint64_t)k);
    for (int i = 0; i < NETS; i++) {
      varied_control(one, i % 2 == 0 ? "lines" : "depth", 0, 1);
    }
    assert_int_equal(varied_admit(fixture->engine, one), OK);
  }
  run_all(fixture);
  assert_true(fake.nets[fake.calls - 1] == NETS);
  assert_in_range(fixture->book.longest_us, 1000 * 1000, TURN_MS * 1000);
}

/* A device that becomes slower, since somebody else uses it, gets fewer rows, and more again when
 * it has become faster. */
static void rows_follow_the_load(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  fake.row_ms = 50;
  admit_eight(fixture, 200, entries);
  run_turns(fixture, 5);
  assert_int_equal(fake.rows[fake.calls - 1], 16);
  fake.row_ms = 1000;
  run_turns(fixture, 12);
  assert_int_equal(fake.rows[fake.calls - 1], 2);
  fake.row_ms = 50;
  run_turns(fixture, 12);
  assert_int_equal(fake.rows[fake.calls - 1], 16);
  run_all(fixture);
}

/* Those that do not fit into a turn go first in the next: all come round. */
static void nobody_is_left_behind(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  fake.row_ms = 600; /* a picture a turn */
  admit_eight(fixture, 10, entries);
  while (engine_busy(fixture->engine)) {
    run_turns(fixture, 1);
    uint32_t least = 1000, most = 0;
    for (int k = 0; k < JOBS; k++) {
      least = entries[k]->step < least ? entries[k]->step : least;
      most = entries[k]->step > most ? entries[k]->step : most;
    }
    assert_true(most - least <= 1);
  }
}

/* On a slow device most wait for their turn: a person who comes is next, and has four fifths of the
 * turns then, however many others are there. */
static void a_person_goes_next(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  struct engine_settings settings = standard(fixture);
  settings.slots = JOBS + 1;
  fake.row_ms = 1500;
  open_engine(fixture, &settings);
  admit_eight(fixture, 100, entries);
  run_turns(fixture, 3);
  Darkroom__V1__Job job = job_of("person", "a boat", 5);
  job.has_priority = 1;
  job.priority = DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE;
  job.steps = 20;
  struct entry *person = admit(fixture, &job);
  run_turns(fixture, 1);
  assert_int_equal(person->step, 1);
  int turns = 1;
  for (; person->finished == 0; turns++) {
    run_turns(fixture, 1);
  }
  assert_in_range(turns, 21 + 4, 21 + 7); /* and the others had a fifth */
  run_all(fixture);
}

/* Pictures of one step that come one after another are newcomers all: they may not pass those who
 * have been here for long. */
static void newcomers_do_not_starve_the_old(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  struct engine_settings settings = standard(fixture);
  settings.slots = JOBS + 2;
  fake.row_ms = 1500;
  open_engine(fixture, &settings);
  admit_eight(fixture, 10, entries);
  for (int turn = 0; turn < 400 && entries[0]->finished == 0; turn++) {
    static char ids[2][32];
    snprintf(ids[turn % 2], sizeof ids[0], "newcomer-%d", turn % 20);
    Darkroom__V1__Job job = job_of(ids[turn % 2], "a boat", 5);
    job.steps = 1;
    (void)engine_admit(fixture->engine, &job, (uint64_t)turn + 100, NULL);
    run_turns(fixture, 1);
  }
  assert_int_equal(entries[0]->finished, 1);
  run_all(fixture);
}

/* One without guidance fits where one with it does not: it may not overtake for ever. */
static void small_ones_do_not_starve_large_ones(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  static char ids[JOBS][32];
  fake.row_ms = 650; /* three rows a turn */
  for (int k = 0; k < JOBS; k++) {
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", 1);
    job.steps = 40;
    job.has_guidance_scale = 1;
    job.guidance_scale = k < 2 ? 7.5 : 1;
    entries[k] = admit(fixture, &job);
  }
  run_turns(fixture, 60);
  uint32_t guided = entries[0]->step + entries[1]->step, others = 0;
  for (int k = 2; k < JOBS; k++) {
    others += entries[k]->step;
  }
  assert_true(guided / 2 * 2 + 3 >= others / 6); /* in rows, all have got the same */
  run_all(fixture);
}

static void pictures_do_not_depend_on_the_pace(void **state) {
  struct fixture *fixture = *state;
  uint64_t hashes[2][JOBS];
  for (int slow = 0; slow < 2; slow++) {
    struct engine_settings settings = standard(fixture);
    struct entry *entries[JOBS];
    fake.row_ms = slow ? 700 : 0;
    open_engine(fixture, &settings);
    admit_eight(fixture, 5, entries);
    run_all(fixture);
    assert_int_equal(fixture->book.largest_rows, slow ? 2 : 16);
    for (int k = 0; k < JOBS; k++) {
      hashes[slow][k] = entries[k]->hash[0];
    }
  }
  assert_memory_equal(hashes[0], hashes[1], sizeof hashes[0]);
}

/* Also of a decode, and of a size that has not been seen yet: scaled from the nearest. */
static void the_parent_is_told_what_to_expect(void **state) {
  struct fixture *fixture = *state;
  struct pulse pulse = {0};
  struct engine_settings settings = standard(fixture);
  settings.pulse = &pulse;
  fake.row_ms = 10;
  fake.decode_ms = 300;
  open_engine(fixture, &settings);
  fake.pulse = &pulse;
  Darkroom__V1__Job job = job_of("small", "a lake", 1), large = job_of("large", "a lake", 1);
  large.width = large.height = 256;
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  assert_in_range(fake.expected_us, 300000, 300010); /* the self-test has shown it */
  assert_int_equal(pulse.expected_us, 0);            /* nothing is expected of an idle engine */
  fake.decode_ms = 5000;
  admit(fixture, &large);
  run_all(fixture);
  assert_in_range(fake.expected_us, 300000 * 16, 300010 * 16);
  fake.pulse = NULL;
}

/* A job that decodes all the time pays for it: else one-step pictures would have half the turns and
 * nine tenths of the device. */
static void decodes_are_paid_for(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.slots = 2;
  open_engine(fixture, &settings);
  Darkroom__V1__Job steps = job_of("steps", "a lake", 1), decodes = job_of("decodes", "a boat", 2);
  steps.steps = 200;
  steps.width = 72; /* so that they do not share a batch */
  decodes.steps = 1;
  decodes.has_images = 1;
  decodes.images = 64;
  struct entry *stepping = admit(fixture, &steps), *decoding = admit(fixture, &decodes);
  while (decoding->pictures < 20) {
    run_turns(fixture, 1);
  }
  /* a picture of one step is 2 rows and a decode of 3, a step is 2 rows of 9/8 the size */
  assert_in_range(stepping->step, 38, 50);
  run_all(fixture);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SLOW_TEST(rows_follow_the_rate),
      SLOW_TEST(rows_with_nets_follow_theirs),
      SLOW_TEST(rows_follow_the_load),
      SLOW_TEST(nobody_is_left_behind),
      SLOW_TEST(a_person_goes_next),
      SLOW_TEST(newcomers_do_not_starve_the_old),
      SLOW_TEST(small_ones_do_not_starve_large_ones),
      SLOW_TEST(pictures_do_not_depend_on_the_pace),
      SLOW_TEST(the_parent_is_told_what_to_expect),
      SLOW_TEST(decodes_are_paid_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
