/* test_mixed.c - jobs of every kind in one engine: each ends with the bytes that it ends with
 * alone, whoever comes and leaves meanwhile, also on a device that works behind its caller. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */
#include "worker/engine/state.h"

#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"

enum { JOBS = 40, SEEDS = 8 };

static struct varied jobs[JOBS];

static void draw_alone(struct fixture *fixture, struct entry *out) {
  for (int k = 0; k < JOBS; k++) {
    varied_make(&jobs[k], k, "fake", "other");
    assert_int_equal(varied_admit(fixture->engine, &jobs[k]), OK);
    run_all(fixture);
    out[k] = *book_find(&fixture->book, jobs[k].id);
    if (out[k].finished != 1) {
      fail_msg("job %d: %s %d", k, out[k].field, out[k].code);
    }
  }
}

/* One by one, as there is room, with turns between; every seventh is stopped after a while. */
static void draw_crowd(struct fixture *fixture) {
  for (int k = 0; k < JOBS;) {
    enum status status;
    k += varied_try(fixture->engine, &jobs[k], &status) && status == OK;
    run_turns(fixture, 1 + k % 3);
    if (k % 7 == 6) {
      engine_stop(fixture->engine, jobs[k - 2].id, 7);
    }
  }
  run_all(fixture);
}

static int compare(struct fixture *fixture, const struct entry *alone) {
  int compared = 0;
  assert_false(fixture->book.backwards);
  for (int k = 0; k < JOBS; k++) {
    const struct entry *entry = book_find(&fixture->book, jobs[k].id);
    assert_int_equal(entry->failed, 0);
    if (entry->finished > 0) {
      assert_memory_equal(entry->hash, alone[k].hash, sizeof entry->hash);
      assert_int_equal(entry->steps, alone[k].steps);
      assert_int_equal(entry->step, entry->steps);
      compared++;
    }
  }
  return compared;
}

static void alone_or_together(void **state) {
  static struct entry alone[JOBS];
  struct fixture *fixture = *state;
  draw_alone(fixture, alone);
  struct engine_settings settings = standard(fixture);
  open_engine(fixture, &settings);
  draw_crowd(fixture);
  assert_true(compare(fixture, alone) > JOBS / 2);
  assert_true(fixture->book.largest_rows > 4);
  for (uint64_t seed = 1; seed <= SEEDS; seed++) {
    settings.device = late_open(seed, seed % 2 == 0, 0);
    open_engine(fixture, &settings);
    draw_crowd(fixture);
    assert_true(compare(fixture, alone) > JOBS / 2);
    engine_close(&fixture->engine);
    assert_int_equal(late.device.memory_used, 0);
    late_close();
  }
}

/* What was taken at admission is given back, whatever the kind of job and however it ends. */
static void all_memory_is_given_back(void **state) {
  struct fixture *fixture = *state;
  struct engine *engine = fixture->engine;
  for (int k = 0; k < JOBS; k++) {
    varied_make(&jobs[k], k, "fake", "other");
    assert_int_equal(varied_admit(engine, &jobs[k]), OK);
    run_turns(fixture, k % 9);
    engine_stop(engine, jobs[k].id, 7);
    run_all(fixture);
    assert_int_equal(conditionings_make_room(
                         engine->conditionings,
                         engine->budget.max - engine->scratch[0].bytes - engine->scratch[1].bytes),
                     OK);
    assert_int_equal(engine->budget.used, engine->budget.max);
    budget_give(&engine->budget,
                engine->budget.max - engine->scratch[0].bytes - engine->scratch[1].bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(alone_or_together),
      TEST(all_memory_is_given_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
