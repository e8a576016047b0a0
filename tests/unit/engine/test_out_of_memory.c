/* test_out_of_memory.c - a device that has no memory for a call after all: half the rows, again,
 * and from then on; a job fails only where one picture does not fit. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */
#include "worker/engine/ceiling.h"

#include "tests/unit/engine/fake_engine.h"

enum { JOBS = 8 };

static void admit_all(struct fixture *fixture, const char *what, struct entry *entries[JOBS]) {
  static char ids[2][JOBS][32];
  static int round;
  round = !round;
  for (int k = 0; k < JOBS; k++) {
    snprintf(ids[round][k], sizeof ids[round][k], "%s-%d", what, k);
    Darkroom__V1__Job job = job_of(ids[round][k], "a lake", (uint64_t)k);
    job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER_A; /* draws noise for every step */
    entries[k] = admit(fixture, &job);
  }
}

static int most_rows(void) {
  int most = 0;
  for (int i = 0; i < fake.calls; i++) {
    most = fake.rows[i] > most ? fake.rows[i] : most;
  }
  return most;
}

/* A call that was tried in vain has changed nothing, and drawn no noise twice. */
static void check_halves(struct fixture *fixture, int fit, int rows) {
  struct entry *entries[JOBS];
  uint64_t hashes[JOBS];
  fake.rows_fit = 0;
  admit_all(fixture, "before", entries);
  run_all(fixture);
  for (int k = 0; k < JOBS; k++) {
    hashes[k] = entries[k]->hash[0];
  }
  assert_int_equal(most_rows(), 16);
  fake.rows_fit = fit;
  fake.calls = 0;
  admit_all(fixture, "during", entries);
  run_all(fixture);
  for (int k = 0; k < JOBS; k++) {
    assert_int_equal(entries[k]->finished, 1);
    assert_true(entries[k]->hash[0] == hashes[k]);
  }
  assert_int_equal(most_rows(), rows);
  fake.rows_fit = 0; /* what was found out is not tried again */
  fake.calls = 0;
  admit_all(fixture, "after", entries);
  run_all(fixture);
  assert_int_equal(most_rows(), rows);
}

static void half_the_rows_from_then_on(void **state) {
  struct fixture *fixture = *state;
  static const struct { int fit, rows; } devices[] = {{15, 8}, {8, 8}, {7, 4}, {3, 2}, {2, 2}};
  for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
    struct engine_settings settings = standard(fixture);
    open_engine(fixture, &settings);
    check_halves(fixture, devices[i].fit, devices[i].rows);
  }
}

/* With turns in flight as well. */
static void half_the_rows_in_flight(void **state) {
  struct fixture *fixture = *state;
  for (uint64_t seed = 1; seed <= 6; seed++) {
    struct engine_settings settings = standard(fixture);
    settings.device = late_open(seed, false, 0);
    open_engine(fixture, &settings);
    check_halves(fixture, 7, 4);
    engine_close(&fixture->engine);
    late_close();
  }
}

/* Another shape has its own. */
static void other_shapes_keep_theirs(void **state) {
  struct fixture *fixture = *state;
  struct entry *entries[JOBS];
  fake.rows_fit = 7;
  admit_all(fixture, "small", entries);
  run_all(fixture);
  fake.rows_fit = 0;
  fake.calls = 0;
  for (int k = 0; k < JOBS; k++) {
    static char ids[JOBS][32];
    snprintf(ids[k], sizeof ids[k], "wide-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", (uint64_t)k);
    job.width = 72;
    admit(fixture, &job);
  }
  run_all(fixture);
  assert_int_equal(most_rows(), 16);
}

/* A guided picture takes two rows, one without guidance one: the first fails, the second does
 * not. */
static void a_picture_that_does_not_fit_fails_by_name(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job guided = job_of("guided", "a lake", 1), plain = job_of("plain", "a boat", 2);
  plain.has_guidance_scale = 1;
  plain.guidance_scale = 1;
  fake.rows_fit = 1;
  struct entry *fails = admit(fixture, &guided), *lives = admit(fixture, &plain);
  run_all(fixture);
  assert_int_equal(fails->failed, 1);
  assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED);
  assert_int_equal(fails->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_int_equal(lives->finished, 1);
}

/* At the start, where sizes are made beforehand. */
static void a_size_that_does_not_fit_is_not_made(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  struct entry *entries[JOBS];
  fake.rows_fit = 7;
  settings.device = late_open(1, true, 0);
  open_engine(fixture, &settings);
  admit_all(fixture, "later", entries);
  run_all(fixture);
  for (int k = 0; k < JOBS; k++) {
    assert_int_equal(entries[k]->finished, 1);
  }
  assert_int_equal(most_rows(), 6);
  engine_close(&fixture->engine);
  late_close();
}

/* ---- the memory of it ---- */

static void the_oldest_is_forgotten(void **state) {
  (void)state;
  static struct ceilings ceilings;
  int model = 0;
  struct ceiling shape = {.model = &model, .height = 1, .width = 1, .rows = 4};
  assert_int_equal(ceiling_of(&ceilings, &shape, 16), 16);
  for (int i = 0; i < CEILINGS_MAX; i++) {
    shape.width = i + 1;
    ceiling_lower(&ceilings, &shape);
  }
  shape.width = 1;
  assert_int_equal(ceiling_of(&ceilings, &shape, 16), 4);
  assert_int_equal(ceiling_of(&ceilings, &shape, 2), 2);
  shape.rows = 2;
  ceiling_lower(&ceilings, &shape); /* the same place, now the youngest */
  assert_int_equal(ceiling_of(&ceilings, &shape, 16), 2);
  shape.height = 9;
  ceiling_lower(&ceilings, &shape); /* one too many */
  shape.height = 1;
  assert_int_equal(ceiling_of(&ceilings, &shape, 16), 2);
  shape.width = 2;
  assert_int_equal(ceiling_of(&ceilings, &shape, 16), 16);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(half_the_rows_from_then_on),
      TEST(half_the_rows_in_flight),
      TEST(other_shapes_keep_theirs),
      TEST(a_picture_that_does_not_fit_fails_by_name),
      TEST(a_size_that_does_not_fit_is_not_made),
      cmocka_unit_test(the_oldest_is_forgotten),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
