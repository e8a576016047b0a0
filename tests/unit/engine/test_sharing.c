/* test_sharing.c - who may share a U-Net call, how full one may be, and what memory a decode is
 * promised.
 */
#include "tests/unit/engine/fake_engine.h"

/* A call is of one model and one shape: a row of another would come out as a picture of the wrong
 * one. */
static void only_the_same_model_and_shape_share_a_call(void **state) {
  struct fixture *fixture = *state;
  static const struct {
    const char *model;
    uint32_t width, height;
  } kinds[] = {{"fake", 64, 64}, {"other", 64, 64}, {"fake", 128, 64}, {"fake", 64, 128}};
  static char ids[8][16];
  for (int k = 0; k < 8; k++) { /* two of each */
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", (uint64_t)k);
    job.model = (char *)kinds[k / 2].model;
    job.width = kinds[k / 2].width;
    job.height = kinds[k / 2].height;
    job.steps = 8;
    admit(fixture, &job);
  }
  run_all(fixture);
  assert_int_equal(fixture->book.largest_rows, 4); /* of two guided pictures, and no more */
  assert_int_equal(fixture->book.jobs, 8);
  for (int k = 0; k < 8; k++) {
    assert_int_equal(fixture->book.entries[k].finished, 1);
  }
}

static void a_call_may_be_as_full_as_it_may_be(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.batch_rows = 4;
  open_engine(fixture, &settings);
  static char ids[3][16];
  for (int k = 0; k < 3; k++) {
    snprintf(ids[k], sizeof ids[k], "job-%d", k);
    Darkroom__V1__Job job = job_of(ids[k], "a lake", (uint64_t)k);
    job.steps = 20;
    admit(fixture, &job);
  }
  run_all(fixture);
  assert_int_equal(fixture->book.largest_rows, 4); /* 2 and 2 of at most 4 */
}

/* A decode that is larger than every step must be promised, too: here it is more than there is. */
static void a_decode_has_its_memory_promised(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.memory_max = 400 * 1024;
  open_engine(fixture, &settings);
  Darkroom__V1__Job job = job_of("large", "a lake", 1);
  fake.predict_bytes_of_row = 1;
  fake.decode_bytes = 8000; /* 500 KB for 64 cells */
  assert_int_equal(engine_admit(fixture->engine, &job, 7, NULL), BAD_INPUT);
  struct entry *entry = book_find(&fixture->book, "large");
  assert_int_equal(entry->started, 0);
  assert_int_equal(entry->code, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED);
  fake.decode_bytes = 2000; /* there is */
  job.id = (char *)"fits";
  entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(only_the_same_model_and_shape_share_a_call),
      TEST(a_call_may_be_as_full_as_it_may_be),
      TEST(a_decode_has_its_memory_promised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
