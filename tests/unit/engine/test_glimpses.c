/* test_glimpses.c - small pictures on the way, every so many steps. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */

#include "tests/unit/engine/fake_engine.h"

static Darkroom__V1__Job shown(const char *id, uint32_t every) {
  Darkroom__V1__Job job = job_of(id, "a lake", 5);
  job.steps = 10;
  job.has_preview_every = 1;
  job.preview_every = every;
  return job;
}

static void every_so_many_steps(void **state) {
  static const int wanted[] = {9, 4, 3, 2, 1, 1, 1, 1, 1, 0, 0}; /* of 10 steps, but the last */
  struct fixture *fixture = *state;
  for (uint32_t every = 1; every <= 11; every++) {
    char id[32];
    snprintf(id, sizeof id, "every-%u", every);
    Darkroom__V1__Job job = shown(id, every);
    struct entry *entry = admit(fixture, &job);
    run_all(fixture);
    assert_int_equal(entry->previews, wanted[every - 1]);
    assert_int_equal(entry->pictures, 1);
    assert_true(entry->previews == 0 || entry->preview_side == 8);
  }
  assert_int_equal(fake.previews, 1); /* a model's colours are found once */
}

static void nobody_who_did_not_ask(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = shown("silent", 0);
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->previews, 0);
  assert_int_equal(fake.previews, 0);
}

/* A preview has a pixel a cell: where cells are pixels there may be more than a preview has. */
static void none_that_would_be_too_large(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.max_side = 512;
  settings.memory_max = 64 << 20;
  fake.factor = 1;
  open_engine(fixture, &settings);
  for (uint32_t side = 256; side <= 264; side += 8) {
    Darkroom__V1__Job job = shown(side == 256 ? "most" : "more", 3);
    job.width = job.height = side;
    struct entry *entry = admit(fixture, &job);
    run_all(fixture);
    assert_int_equal(entry->finished, 1);
    assert_int_equal(entry->previews, side == 256 ? 3 : 0);
    assert_int_equal(entry->warnings, side == 256 ? 0 : 1);
  }
  assert_non_null(strstr(book_find(&fixture->book, "more")->warning, "264x264 are larger"));
}

/* Of many at once some have to wait for a step, and all are shown; the same ones on a device that
 * works behind its caller. */
static void many_at_once(void **state) {
  struct fixture *fixture = *state;
  uint64_t sums[8];
  static char ids[8][32];
  for (int late_one = 0; late_one < 2; late_one++) {
    struct engine_settings settings = standard(fixture);
    settings.device = late_one ? late_open(3, true, 0) : settings.device;
    open_engine(fixture, &settings);
    for (int k = 0; k < 8; k++) {
      snprintf(ids[k], sizeof ids[k], "many-%d", k);
      Darkroom__V1__Job job = shown(ids[k], 3);
      job.width = job.height = k < 4 ? 64 : 256; /* the room is that of one of these */
      job.seed = (uint64_t)k;
      admit(fixture, &job);
    }
    run_all(fixture);
    for (int k = 0; k < 8; k++) {
      struct entry *entry = book_find(&fixture->book, ids[k]);
      assert_true(entry->previews >= 1);
      assert_int_equal(entry->finished, 1);
      assert_true(late_one == 0 || k >= 4 || entry->preview_sum == sums[k]);
      sums[k] = entry->preview_sum;
    }
    engine_close(&fixture->engine);
  }
  late_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_so_many_steps),
      TEST(nobody_who_did_not_ask),
      TEST(none_that_would_be_too_large),
      TEST(many_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
