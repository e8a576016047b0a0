/* test_flight.c - turns in flight, on a device that works behind its caller: the same pictures as
 * one turn at a time, whatever comes, leaves, grows or fails meanwhile. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */
#include "worker/engine/state.h"

#include "tests/unit/engine/fake_engine.h"

enum { SEEDS = 12, JOBS = 24 };

static void open_late(struct fixture *fixture, uint64_t seed, bool keeps) {
  struct engine_settings settings = standard(fixture);
  settings.device = late_open(seed, keeps, 0);
  open_engine(fixture, &settings);
}

static void close_late(struct fixture *fixture) {
  engine_close(&fixture->engine);
  assert_int_equal(late.device.memory_used, 0);
  late_close();
}

static int in_flight(struct fixture *fixture, enum queue queue) {
  int count = 0;
  for (int i = 0; i < FLIGHTS_OF_A_QUEUE; i++) {
    count += fixture->engine->flights.place[queue][i].turn != 0;
  }
  return count;
}

/* Jobs come one by one, as there is room, with turns between; every fifth is stopped after a while.
 */
static void run_crowd(struct fixture *fixture, int *most) {
  *most = 0;
  for (int k = 0; k < JOBS;) {
    Darkroom__V1__Job job = stranger(k);
    job.images = 1 + (uint32_t)k % 2;
    job.has_images = 1;
    k += engine_admit(fixture->engine, &job, 7, NULL) == OK;
    run_turns(fixture, 2);
    int now = in_flight(fixture, QUEUE_STEPS);
    *most = now > *most ? now : *most;
    if (k % 5 == 4) {
      char id[32];
      snprintf(id, sizeof id, "stranger-%d", k - 2);
      engine_stop(fixture->engine, id, 7);
    }
  }
  run_all(fixture);
}

/* Whoever ends, ends with the same bytes, and no step is told twice. */
static void pictures_are_those_of_one_turn_at_a_time(void **state) {
  struct fixture *fixture = *state;
  static struct entry alone[JOBS];
  int most = 0, compared = 0;
  for (int k = 0; k < JOBS; k++) {
    Darkroom__V1__Job job = stranger(k);
    job.images = 1 + (uint32_t)k % 2;
    job.has_images = 1;
    admit(fixture, &job);
    run_all(fixture);
    alone[k] = *book_find(&fixture->book, job.id);
    assert_int_equal(alone[k].finished, 1);
  }
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    open_late(fixture, seed, seed % 2 == 0);
    run_crowd(fixture, &most);
    assert_int_equal(most, FLIGHTS_OF_A_QUEUE);
    assert_false(fixture->book.backwards);
    for (int k = 0; k < JOBS; k++) {
      const struct entry *entry = book_find(&fixture->book, alone[k].id);
      assert_int_equal(entry->failed, 0);
      compared += entry->finished;
      if (entry->finished > 0) {
        assert_memory_equal(entry->hash, alone[k].hash, sizeof entry->hash);
        assert_int_equal(entry->denoise_steps, alone[k].denoise_steps);
        assert_int_equal(entry->step, entry->steps);
      }
    }
    close_late(fixture);
  }
  assert_true(compared > SEEDS * JOBS / 2 && compared < SEEDS * JOBS);
}

/* Its slot is free at once, for another; what the turn in flight uses stays until it has landed,
 * and says nothing of either. */
static void who_leaves_in_flight_is_gone_at_once(void **state) {
  struct fixture *fixture = *state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    open_late(fixture, seed, false);
    Darkroom__V1__Job job = job_of("leaves", "a house", 1), other = job_of("comes", "a boat", 2);
    struct entry *leaves = admit(fixture, &job);
    size_t before = fixture->engine->budget.used;
    while (in_flight(fixture, QUEUE_STEPS) == 0) {
      run_turns(fixture, 1);
    }
    uint32_t told = leaves->step;
    engine_stop(fixture->engine, "leaves", 7);
    assert_int_equal(engine_free_slots(fixture->engine), 8);
    assert_int_equal(fixture->engine->budget.used, before); /* the device still uses it */
    assert_true(engine_busy(fixture->engine));
    struct entry *comes = admit(fixture, &other);
    run_all(fixture);
    assert_int_equal(leaves->step, told);
    assert_int_equal(leaves->finished + leaves->failed, 0);
    assert_int_equal(comes->finished, 1);
    assert_int_equal(comes->step, 4);
    assert_int_equal(fixture->engine->leaving.count, 0);
    close_late(fixture);
  }
}

static void an_engine_closes_under_turns_in_flight(void **state) {
  struct fixture *fixture = *state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    open_late(fixture, seed, true);
    for (int k = 0; k < 6; k++) {
      Darkroom__V1__Job job = stranger(k);
      admit(fixture, &job);
      run_turns(fixture, (int)(seed % 3));
    }
    engine_stop(fixture->engine, "stranger-1", 7);
    close_late(fixture);
  }
}

static void what_is_infinite_in_flight_fails_alone(void **state) {
  struct fixture *fixture = *state;
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    open_late(fixture, seed, seed % 2 == 0);
    Darkroom__V1__Job bad = job_of("bad", "infinite", 1), good = job_of("good", "a lake", 2);
    struct entry *fails = admit(fixture, &bad), *lives = admit(fixture, &good);
    run_all(fixture);
    assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
    assert_int_equal(fails->pictures, 0);
    assert_int_equal(lives->finished, 1);
    close_late(fixture);
  }
}

static void a_device_that_breaks_is_left(void **state) {
  struct fixture *fixture = *state;
  open_late(fixture, 1, false);
  Darkroom__V1__Job job = job_of("runs", "a lake", 1);
  struct entry *entry = admit(fixture, &job);
  run_turns(fixture, 2);
  late.broken = true;
  enum status status = OK;
  for (int i = 0; i < 20 && status == OK; i++) {
    status = engine_turn(fixture->engine);
  }
  assert_int_equal(status, BROKEN);
  assert_int_equal(entry->finished + entry->failed, 0);
  late.broken = false;
  close_late(fixture);
}

/* A larger job comes while others are in flight: their scratch moves, and what was kept is
 * forgotten with the old addresses. */
static void scratch_grows_in_flight(void **state) {
  struct fixture *fixture = *state;
  uint64_t small_hash = 0, large_hash = 0;
  Darkroom__V1__Job small = job_of("small", "a lake", 1), large = job_of("large", "a boat", 2);
  large.width = large.height = 256;
  small.steps = 20;
  for (uint64_t seed = 0; seed <= SEEDS; seed++) {
    if (seed > 0) { /* the first time on "ref" */
      open_late(fixture, seed, true);
    }
    struct entry *one = admit(fixture, &small);
    run_turns(fixture, 3);
    int forgotten = late.forgotten;
    struct entry *two = admit(fixture, &large);
    assert_true(seed == 0 || late.forgotten > forgotten);
    run_all(fixture);
    small_hash = seed == 0 ? one->hash[0] : small_hash;
    large_hash = seed == 0 ? two->hash[0] : large_hash;
    assert_true(one->hash[0] == small_hash && two->hash[0] == large_hash && small_hash != 0);
    if (seed > 0) {
      close_late(fixture);
    }
  }
}

/* ---- few sizes ---- */

static bool is_size(int rows) {
  static const int sizes[] = {1, 2, 4, 6, 8, 12, 16};
  bool found = false;
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    found = found || sizes[i] == rows;
  }
  return found;
}

/* Guided and not, so that any number of rows comes about; and jobs of the model's own size find all
 * that they need made already. */
static void rows_come_in_few_sizes(void **state) {
  struct fixture *fixture = *state;
  open_late(fixture, 3, true);
  int keys = late.keys;
  for (int k = 0; k < 7; k++) {
    static char ids[7][16];
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", (uint64_t)k);
    job.steps = 3 + (uint32_t)k;
    job.has_guidance_scale = 1;
    job.guidance_scale = k % 3 == 0 ? 1 : 7;
    admit(fixture, &job);
    run_turns(fixture, 1);
  }
  run_all(fixture);
  assert_int_equal(late.keys, keys);
  assert_true(fake.calls > 7);
  for (int i = 0; i < fake.calls; i++) {
    assert_true(is_size(fake.rows[i]));
  }
  close_late(fixture);
}

/* All sizes up to what was set, twice each, before the first job; the last may be none of the
 * few. */
static void all_sizes_are_made_at_the_start(void **state) {
  struct fixture *fixture = *state;
  static const int wanted[] = {1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10};
  struct engine_settings settings = standard(fixture);
  struct engine_listener listener = book_listener(&fixture->book);
  engine_close(&fixture->engine);
  settings.batch_rows = 10;
  settings.model_count = 1;
  settings.device = late_open(1, true, 0);
  fake.calls = fake.decoded = 0;
  assert_int_equal(engine_open(&settings, &listener, &fixture->engine), OK);
  int count = sizeof wanted / sizeof wanted[0], first = fake.calls - count;
  assert_true(first > 0); /* the self-test */
  assert_memory_equal(&fake.rows[first], wanted, sizeof wanted);
  assert_int_equal(fake.decoded, 3 + 2); /* of the self-test, and two */
  assert_int_equal(fixture->book.jobs, 0);
  close_late(fixture);
}

/* ---- time ---- */

/* Two turns that overlap take as long as they take together, not twice. */
static void overlapping_turns_are_not_counted_double(void **state) {
  struct fixture *fixture = *state;
  clock_hold(1000, 0);
  fake.row_ms = 10;
  open_late(fixture, 5, false);
  int64_t began = clock_ms();
  Darkroom__V1__Job job = job_of("timed", "a lake", 1);
  job.steps = 50;
  admit(fixture, &job);
  run_all(fixture);
  int64_t elapsed_us = (clock_ms() - began) * 1000;
  assert_int_equal(fixture->book.turns, 50);
  assert_true((int64_t)fixture->book.total_us <= elapsed_us);
  assert_true((int64_t)fixture->book.total_us >= elapsed_us * 9 / 10);
  close_late(fixture);
  clock_let_go();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(pictures_are_those_of_one_turn_at_a_time),
      TEST(who_leaves_in_flight_is_gone_at_once),
      TEST(an_engine_closes_under_turns_in_flight),
      TEST(what_is_infinite_in_flight_fails_alone),
      TEST(a_device_that_breaks_is_left),
      TEST(scratch_grows_in_flight),
      TEST(rows_come_in_few_sizes),
      TEST(all_sizes_are_made_at_the_start),
      TEST(overlapping_turns_are_not_counted_double),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
