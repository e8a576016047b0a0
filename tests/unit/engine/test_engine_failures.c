/* test_engine_failures.c - what the engine refuses, what memory it promises, and what fails alone.
 */
#include "tests/unit/engine/fake_engine.h"

/* ---- refusals ---- */

static void refused(struct fixture *fixture, Darkroom__V1__Job *job, Darkroom__V1__ErrorCode code,
                    const char *field) {
  static int count;
  char id[32];
  snprintf(id, sizeof id, "refused-%d", count++);
  job->id = id;
  assert_int_equal(engine_admit(fixture->engine, job, 7, NULL), BAD_INPUT);
  struct entry *entry = book_find(&fixture->book, id);
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->started, 0);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
  assert_int_equal(entry->code, code);
  assert_string_equal(entry->field, field);
  assert_int_equal(engine_free_slots(fixture->engine), 8);
}

static void what_the_model_cannot_do_is_refused_by_name(void **state) {
  struct fixture *fixture = *state;
  const Darkroom__V1__ErrorCode wrong_field = DARKROOM__V1__ERROR_CODE__ERROR_FIELD;
  Darkroom__V1__Job job = job_of("", "a lake", 1);
  job.model = (char *)"no such";
  refused(fixture, &job, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, "model");
  job = job_of("", "a lake", 1);
  job.sampler = (Darkroom__V1__Sampler)99;
  refused(fixture, &job, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER, "sampler");
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DDIM;
  job.has_noise_schedule = 1;
  job.noise_schedule = DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_KARRAS;
  refused(fixture, &job, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER, "noise_schedule");
  static const uint32_t sides[] = {0, 4, 60, 264, 4294967288u};
  for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
    job = job_of("", "a lake", 1);
    job.width = sides[i];
    refused(fixture, &job, wrong_field, "width");
    job = job_of("", "a lake", 1);
    job.height = sides[i];
    refused(fixture, &job, wrong_field, "height");
  }
  job = job_of("", "a lake", 1);
  job.steps = 0;
  refused(fixture, &job, wrong_field, "steps");
  job.steps = 1001;
  refused(fixture, &job, wrong_field, "steps");
  job.steps = 1000; /* DPM-Solver++ by linspace has one less */
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M;
  refused(fixture, &job, wrong_field, "steps");
  job = job_of("", "a lake", 1);
  job.has_guidance_scale = 1;
  job.guidance_scale = NAN;
  refused(fixture, &job, wrong_field, "guidance_scale");
  job = job_of("", "a lake", 1);
  job.has_images = 1;
  job.images = 65;
  refused(fixture, &job, wrong_field, "images");
  job = job_of("", "unspeakable", 1);
  refused(fixture, &job, wrong_field, "prompt");
  job = job_of("fine", "a lake", 1);
  struct entry *fine = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(fine->finished, 1);
}

static void no_slot_means_try_later(void **state) {
  struct fixture *fixture = *state;
  for (int k = 0; k < 8; k++) {
    Darkroom__V1__Job job = stranger(k);
    admit(fixture, &job);
  }
  Darkroom__V1__Job job = job_of("ninth", "a lake", 1);
  assert_int_equal(engine_admit(fixture->engine, &job, 7, NULL), EXHAUSTED);
  assert_int_equal(book_find(&fixture->book, "ninth")->failed, 0);
  run_all(fixture);
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
}

/* ---- memory ---- */

static void memory_is_promised_at_admission(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true; /* pictures that are encoded would be the largest turns here */
  struct engine_settings settings = standard(fixture);
  settings.memory_max = 500 * 1024;
  open_engine(fixture, &settings);
  Darkroom__V1__Job small = job_of("small", "a lake", 1);
  Darkroom__V1__Job large = job_of("large", "a house", 1);
  large.width = large.height = 256; /* 1024 cells in two rows */
  Darkroom__V1__Job huge = large;
  huge.id = (char *)"huge";
  fake.predict_bytes_of_row = 16;
  struct entry *entry = admit(fixture, &small);
  fake.predict_bytes_of_row = 260; /* 520 KB: not now, and not alone either */
  assert_int_equal(engine_admit(fixture->engine, &huge, 7, NULL), EXHAUSTED);
  assert_int_equal(book_find(&fixture->book, "huge")->failed, 0);
  run_all(fixture); /* what was admitted is not disturbed */
  assert_int_equal(entry->finished, 1);
  assert_int_equal(engine_admit(fixture->engine, &huge, 7, NULL), BAD_INPUT);
  struct entry *told = book_find(&fixture->book, "huge");
  assert_int_equal(told->failed, 1);
  assert_int_equal(told->code, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED);
  assert_int_equal(told->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  fake.predict_bytes_of_row = 48; /* 96 KB a pair of rows, and no more rows than that */
  fake.calls = 0;
  large.has_images = 1;
  large.images = 3;
  struct entry *fits = admit(fixture, &large);
  run_all(fixture);
  assert_int_equal(fits->finished, 1);
  assert_int_equal(fake.rows[0], 2);
}

static void any_budget_gives_back_all_it_took(void **state) {
  struct fixture *fixture = *state;
  for (size_t memory = 1024; memory < 4 << 20; memory = memory * 3 / 2) {
    struct engine_settings settings = standard(fixture);
    struct engine_listener listener = book_listener(&fixture->book);
    settings.memory_max = memory;
    engine_close(&fixture->engine);
    book_close(&fixture->book);
    size_t before = device_memory_used(fixture->device);
    if (engine_open(&settings, &listener, &fixture->engine) != OK) {
      assert_true(memory < 200 * 1024); /* not even the self-test's image */
      continue;
    }
    int ended = 0, begun = 0;
    for (int k = 0; begun < 24; k++) {
      Darkroom__V1__Job job = stranger(k);
      job.images = 1 + (uint32_t)k % 3;
      job.has_images = 1;
      enum status status = engine_admit(fixture->engine, &job, 7, NULL);
      begun += status != EXHAUSTED;
      assert_int_equal(engine_turn(fixture->engine), OK);
    }
    run_all(fixture);
    for (int i = 0; i < fixture->book.jobs; i++) {
      ended += fixture->book.entries[i].finished + fixture->book.entries[i].failed;
      assert_true(fixture->book.entries[i].code != DARKROOM__V1__ERROR_CODE__ERROR_ENGINE);
    }
    assert_true(ended >= 24);
    engine_close(&fixture->engine);
    assert_int_equal(device_memory_used(fixture->device), before);
  }
}

static void a_prompt_is_encoded_once(void **state) {
  struct fixture *fixture = *state;
  for (int round = 0; round < 3; round++) {
    for (int k = 0; k < 4; k++) {
      char id[32];
      snprintf(id, sizeof id, "c%d-%d", round, k);
      Darkroom__V1__Job job = job_of(id, k % 2 == 0 ? "a lake" : "a house", 1);
      admit(fixture, &job);
    }
    run_all(fixture);
  }
  /* "a house" alone: the self-test has encoded the others already. */
  assert_int_equal(fake.conditioned, 1);
  Darkroom__V1__Job job = job_of("elsewhere", "a house", 1);
  job.model = (char *)"other";
  admit(fixture, &job);
  assert_int_equal(fake.conditioned, 2);
  run_all(fixture);
}

/* ---- failures ---- */

static void an_infinite_sample_fails_alone(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job bad = job_of("bad", "infinite", 1), good = job_of("good", "a lake", 2);
  bad.steps = good.steps = 20;
  struct entry *fails = admit(fixture, &bad), *lives = admit(fixture, &good);
  run_all(fixture);
  assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
  assert_int_equal(fails->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_int_equal(fails->pictures, 0);
  assert_true(fails->step < 20);
  assert_int_equal(lives->finished, 1);
}

static void a_flat_picture_is_no_picture(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("flat", "flat", 1);
  job.has_guidance_scale = 1;
  job.guidance_scale = 1;
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
  assert_int_equal(entry->pictures, 0);
}

/* Overflow in 16 bits alone: once more in f32, and only then the job fails. */
static void an_infinite_picture_gets_a_second_look(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("good", "a lake", 1), again = job_of("again", "a lake", 1),
                    worse = job_of("worse", "a lake", 1);
  struct entry *good = admit(fixture, &job);
  run_all(fixture);
  size_t used = device_memory_used(fixture->device);
  fake.overflows = true;
  struct entry *mended = admit(fixture, &again);
  run_all(fixture);
  assert_int_equal(mended->finished, 1);
  assert_int_equal(fake.exact, 1);
  assert_memory_equal(mended->rgb, good->rgb, 64 * 64 * 3);
  assert_int_equal(device_memory_used(fixture->device), used);
  static const enum status outcomes[] = {EXHAUSTED, BAD_INPUT};
  for (int i = 0; i < 2; i++) {
    fake.exact_status = outcomes[i];
    worse.id = (char *)(i == 0 ? "worse-0" : "worse-1");
    struct entry *fails = admit(fixture, &worse);
    run_all(fixture);
    assert_int_equal(fails->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
    assert_int_equal(fails->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
    assert_int_equal(fails->pictures, 0);
  }
  assert_int_equal(device_memory_used(fixture->device), used);
  fake.exact_status = BROKEN;
  worse.id = (char *)"last";
  admit(fixture, &worse);
  enum status status = OK;
  for (int i = 0; i < 20 && status == OK; i++) {
    status = engine_turn(fixture->engine);
  }
  assert_int_equal(status, BROKEN);
  fake.overflows = false;
  fake.exact_status = OK;
}

static void a_failed_call_fails_its_jobs_and_a_broken_device_leaves(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job one = job_of("one", "a lake", 1), two = job_of("two", "a lake", 2);
  one.has_images = 1;
  one.images = 3;
  struct entry *first = admit(fixture, &one), *second = admit(fixture, &two);
  fake.predict_status = UNAVAILABLE;
  assert_int_equal(engine_turn(fixture->engine), OK);
  assert_int_equal(first->failed + second->failed, 2);
  assert_int_equal(first->code, DARKROOM__V1__ERROR_CODE__ERROR_ENGINE);
  assert_false(engine_busy(fixture->engine));
  fake.predict_status = BROKEN;
  one.id = (char *)"three";
  struct entry *third = admit(fixture, &one);
  assert_int_equal(engine_turn(fixture->engine), BROKEN);
  assert_int_equal(third->failed, 0);
  fake.predict_status = OK;
}

static void a_restless_device_does_not_open(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  struct engine_listener listener = book_listener(&fixture->book);
  struct engine *engine = NULL;
  fake.restless = true;
  assert_int_equal(engine_open(&settings, &listener, &engine), BROKEN);
  assert_non_null(strstr(fail_reason(), "not the same picture when run again"));
  assert_null(engine);
  fake.restless = false;
}

static void settings_out_of_range_are_refused(void **state) {
  struct fixture *fixture = *state;
  struct engine_listener listener = book_listener(&fixture->book);
  struct engine *engine = NULL;
  struct engine_settings wrong[6];
  for (int i = 0; i < 6; i++) {
    wrong[i] = standard(fixture);
  }
  static const struct engine_model twice[] = {{.id = "a", .source.folder = "a"},
                                              {.id = "a", .source.folder = "a"}};
  static const struct engine_model broken[] = {{.id = "a", .source.folder = "broken"}};
  wrong[0].slots = 0;
  wrong[1].batch_rows = 1;
  wrong[2].max_side = 4096;
  wrong[3].model_count = 0;
  wrong[4].models = twice;
  wrong[5].models = broken;
  wrong[5].model_count = 1;
  for (int i = 0; i < 6; i++) {
    assert_int_equal(engine_open(&wrong[i], &listener, &engine), BAD_INPUT);
    assert_null(engine);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_the_model_cannot_do_is_refused_by_name),
      TEST(no_slot_means_try_later),
      TEST(memory_is_promised_at_admission),
      TEST(any_budget_gives_back_all_it_took),
      TEST(a_prompt_is_encoded_once),
      TEST(an_infinite_sample_fails_alone),
      TEST(a_flat_picture_is_no_picture),
      TEST(an_infinite_picture_gets_a_second_look),
      TEST(a_failed_call_fails_its_jobs_and_a_broken_device_leaves),
      TEST(a_restless_device_does_not_open),
      TEST(settings_out_of_range_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
