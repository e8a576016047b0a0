/* test_engine.c - the engine's promises, over a made-up model: what is told, who shares a batch,
 * what fails and alone. */
#include "worker/engine/engine.h"

#include "tests/unit/engine/book.h"
#include "tests/unit/engine/fake_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static const struct engine_model models[] = {{.id = "fake", .source.folder = "fake"},
                                             {.id = "other", .source.folder = "other"}};

static struct engine_settings standard(struct fixture *fixture) {
  return (struct engine_settings){.device = fixture->device,
                                  .models = models,
                                  .model_count = 2,
                                  .slots = 8,
                                  .batch_rows = 16,
                                  .max_side = 256,
                                  .memory_max = 16 << 20};
}

static void open_engine(struct fixture *fixture, const struct engine_settings *settings) {
  struct engine_listener listener = book_listener(&fixture->book);
  engine_close(&fixture->engine);
  book_close(&fixture->book);
  assert_int_equal(engine_open(settings, &listener, &fixture->engine), OK);
  fake.calls = 0;
  fake.conditioned = 0;
}

static int setup(void **state) {
  static struct fixture fixture;
  fixture = (struct fixture){0};
  fake = (struct fake){.predict_bytes_of_row = 64};
  struct device_settings settings = {0};
  assert_int_equal(device_open("ref", &settings, &fixture.device), OK);
  struct engine_settings engine = standard(&fixture);
  open_engine(&fixture, &engine);
  *state = &fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
  return 0;
}

static void run_turns(struct fixture *fixture, int turns) {
  for (int i = 0; i < turns && engine_busy(fixture->engine); i++) {
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
}
static void run_all(struct fixture *fixture) {
  run_turns(fixture, 100000);
  assert_false(engine_busy(fixture->engine));
}
static struct entry *admit(struct fixture *fixture, const Darkroom__V1__Job *job) {
  assert_int_equal(engine_admit(fixture->engine, job, 7), OK);
  return book_find(&fixture->book, job->id);
}

/* ---- the life of a job ---- */

static void a_job_from_start_to_end(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("one", "a lake", 5);
  job.has_images = 1;
  job.images = 2;
  struct entry *entry = admit(fixture, &job);
  assert_int_equal(entry->started, 1);
  assert_int_equal(entry->fence, 7);
  assert_int_equal(engine_free_slots(fixture->engine), 6);
  run_all(fixture);
  assert_int_equal(entry->step_events, 4);
  assert_int_equal(entry->step, 8);
  assert_int_equal(entry->steps, 8);
  assert_false(fixture->book.backwards);
  assert_int_equal(entry->pictures, 2);
  assert_int_equal(entry->width, 64);
  assert_int_equal(entry->seed[1], 6);
  assert_int_equal(entry->finished, 1);
  assert_int_equal(entry->denoise_steps, 8);
  assert_int_equal(fixture->book.turns, 4);
  assert_int_equal(engine_free_slots(fixture->engine), 8);
  assert_int_equal(engine_turn(fixture->engine), OK);
}

static void rows_come_uncond_first_each_at_its_own_timestep(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job guided = job_of("guided", "a lake", 1), plain = job_of("plain", "a house", 2);
  guided.negative_prompt = (char *)"rain";
  plain.has_guidance_scale = 1;
  plain.guidance_scale = 1.0;
  plain.steps = 8;
  admit(fixture, &guided);
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[0], 2);
  assert_float_equal(fake.conditionings[0], fake_number("rain"), 1e-6);
  assert_float_equal(fake.conditionings[1], fake_number("a lake"), 1e-6);
  admit(fixture, &plain);
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[1], 3);
  float plain_first = 999.0f, guided_second = 999.0f * 2 / 3;
  bool plain_is_first = fabsf(fake.timesteps[0] - plain_first) < 0.5f;
  assert_float_equal(fake.timesteps[plain_is_first ? 0 : 2], plain_first, 0.5);
  assert_float_equal(fake.timesteps[1], guided_second, 0.5);
  run_all(fixture);
  assert_int_equal(fixture->book.largest_rows, 3);
}

static void guidance_of_one_or_less_takes_one_row(void **state) {
  struct fixture *fixture = *state;
  static const double guidance[] = {1.0, 0.5, 0.0, 1.0000000001};
  for (int i = 0; i < 4; i++) {
    char id[8];
    snprintf(id, sizeof id, "g%d", i);
    Darkroom__V1__Job job = job_of(id, "a lake", 1);
    job.has_guidance_scale = 1;
    job.guidance_scale = guidance[i];
    fake.calls = 0;
    struct entry *entry = admit(fixture, &job);
    run_all(fixture);
    assert_int_equal(entry->finished, 1);
    assert_int_equal(fake.rows[0], 1);
  }
}

/* ---- batch mates ---- */

static Darkroom__V1__Job stranger(int k) {
  static char ids[64][16];
  static const Darkroom__V1__Sampler kinds[] = {
      DARKROOM__V1__SAMPLER__SAMPLER_EULER, DARKROOM__V1__SAMPLER__SAMPLER_EULER_A,
      DARKROOM__V1__SAMPLER__SAMPLER_DDIM, DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M};
  snprintf(ids[k % 64], sizeof ids[0], "stranger-%d", k);
  Darkroom__V1__Job job = job_of(ids[k % 64], k % 2 == 0 ? "a house" : "a boat", 100 + (uint64_t)k);
  job.steps = 1 + (uint32_t)k % 5;
  job.sampler = kinds[k % 4];
  job.has_guidance_scale = 1;
  job.guidance_scale = k % 3;
  job.width = k % 4 == 3 ? 128 : 64;
  return job;
}

/* Strangers join before, between and after its steps, and leave while it runs. */
static void a_job_does_not_depend_on_its_batch_mates(void **state) {
  struct fixture *fixture = *state;
  static const Darkroom__V1__Sampler kinds[] = {
      DARKROOM__V1__SAMPLER__SAMPLER_EULER, DARKROOM__V1__SAMPLER__SAMPLER_EULER_A,
      DARKROOM__V1__SAMPLER__SAMPLER_DDIM, DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M};
  int k = 0;
  for (int s = 0; s < 4; s++) {
    Darkroom__V1__Job job = job_of("alone", "a lake", 42);
    job.steps = 9;
    job.sampler = kinds[s];
    struct entry *alone = admit(fixture, &job);
    run_all(fixture);
    job.id = (char *)"mated";
    for (int i = 0; i < 3; i++) {
      Darkroom__V1__Job other = stranger(k++);
      admit(fixture, &other);
    }
    run_turns(fixture, 1);
    struct entry *mated = admit(fixture, &job);
    for (int i = 0; i < 4; i++) {
      Darkroom__V1__Job other = stranger(k++);
      admit(fixture, &other);
      run_turns(fixture, 2);
      if (i == 2) {
        engine_stop(fixture->engine, other.id, 7);
      }
    }
    run_all(fixture);
    assert_true(fixture->book.largest_rows > 4);
    assert_int_equal(alone->pictures, 1);
    assert_int_equal(mated->pictures, 1);
    assert_memory_equal(alone->rgb, mated->rgb, 64 * 64 * 3);
    struct engine_settings settings = standard(fixture);
    open_engine(fixture, &settings);
  }
}

static void image_k_is_the_job_of_seed_plus_k(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.slots = 2; /* images wait inside */
  open_engine(fixture, &settings);
  Darkroom__V1__Job job = job_of("all", "a lake", 10);
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER_A;
  job.has_images = 1;
  job.images = 5;
  struct entry *all = admit(fixture, &job);
  assert_int_equal(engine_free_slots(fixture->engine), 0);
  run_all(fixture);
  assert_int_equal(all->pictures, 5);
  job.images = 1;
  for (uint64_t i = 0; i < 5; i++) {
    char id[8];
    snprintf(id, sizeof id, "s%d", (int)i);
    job.id = id;
    job.seed = 10 + i;
    struct entry *single = admit(fixture, &job);
    run_all(fixture);
    assert_true(single->hash[0] == all->hash[i]);
    assert_int_equal(all->seed[i], 10 + i);
  }
}

/* ---- leaving ---- */

static void a_stopped_job_is_gone_at_once(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = job_of("stopped", "a lake", 1), other = job_of("other", "a house", 2);
  struct entry *stopped = admit(fixture, &job);
  struct entry *stays = admit(fixture, &other);
  run_turns(fixture, 2);
  engine_stop(fixture->engine, "stopped", 6); /* an older lease: not this one */
  assert_int_equal(engine_free_slots(fixture->engine), 6);
  engine_stop(fixture->engine, "stopped", 7);
  engine_stop(fixture->engine, "stopped", 7);
  engine_stop(fixture->engine, "never heard of", 1);
  assert_int_equal(engine_free_slots(fixture->engine), 7);
  int calls = fake.calls;
  run_turns(fixture, 1);
  assert_int_equal(fake.rows[calls], 2);
  run_all(fixture);
  assert_int_equal(stopped->step, 2);
  assert_int_equal(stopped->pictures + (uint32_t)stopped->finished + (uint32_t)stopped->failed, 0);
  assert_int_equal(stays->finished, 1);
}

/* ---- refusals ---- */

static void refused(struct fixture *fixture, Darkroom__V1__Job *job, Darkroom__V1__ErrorCode code,
                    const char *field) {
  static int count;
  char id[32];
  snprintf(id, sizeof id, "refused-%d", count++);
  job->id = id;
  assert_int_equal(engine_admit(fixture->engine, job, 7), BAD_INPUT);
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
  refused(fixture, &job, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER, "sampler");
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
  assert_int_equal(engine_admit(fixture->engine, &job, 7), EXHAUSTED);
  assert_int_equal(book_find(&fixture->book, "ninth")->failed, 0);
  run_all(fixture);
  struct entry *entry = admit(fixture, &job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
}

/* ---- memory ---- */

static void memory_is_promised_at_admission(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.memory_max = 200 * 1024;
  open_engine(fixture, &settings);
  Darkroom__V1__Job small = job_of("small", "a lake", 1);
  Darkroom__V1__Job large = job_of("large", "a house", 1);
  large.width = large.height = 256; /* 1024 cells, two rows: 128 KB of scratch at the least */
  Darkroom__V1__Job huge = large;
  huge.id = (char *)"huge";
  fake.predict_bytes_of_row = 16;
  struct entry *entry = admit(fixture, &small);
  fake.predict_bytes_of_row = 120; /* 240 KB: not now, and not alone either */
  assert_int_equal(engine_admit(fixture->engine, &huge, 7), EXHAUSTED);
  assert_int_equal(book_find(&fixture->book, "huge")->failed, 0);
  run_all(fixture); /* what was admitted is not disturbed */
  assert_int_equal(entry->finished, 1);
  assert_int_equal(engine_admit(fixture->engine, &huge, 7), BAD_INPUT);
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
      assert_true(memory < 200 * 1024); /* not even the known-answer image */
      continue;
    }
    int ended = 0, begun = 0;
    for (int k = 0; begun < 24; k++) {
      Darkroom__V1__Job job = stranger(k);
      job.images = 1 + (uint32_t)k % 3;
      job.has_images = 1;
      enum status status = engine_admit(fixture->engine, &job, 7);
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
      char id[16];
      snprintf(id, sizeof id, "c%d-%d", round, k);
      Darkroom__V1__Job job = job_of(id, k % 2 == 0 ? "a lake" : "a house", 1);
      admit(fixture, &job);
    }
    run_all(fixture);
  }
  assert_int_equal(fake.conditioned,
                   2); /* the empty negative prompt and "a lake": the known-answer image had them */
  Darkroom__V1__Job job = job_of("elsewhere", "a house", 1);
  job.model = (char *)"other";
  admit(fixture, &job);
  assert_int_equal(fake.conditioned, 3);
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

static void a_failed_call_fails_its_jobs_and_a_broken_device_leaves(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job one = job_of("one", "a lake", 1), two = job_of("two", "a lake", 2);
  one.has_images = 1;
  one.images = 3;
  struct entry *first = admit(fixture, &one), *second = admit(fixture, &two);
  fake.predict_status = EXHAUSTED;
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
  assert_non_null(strstr(fail_reason(), "known-answer"));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_job_from_start_to_end),
      TEST(rows_come_uncond_first_each_at_its_own_timestep),
      TEST(guidance_of_one_or_less_takes_one_row),
      TEST(a_job_does_not_depend_on_its_batch_mates),
      TEST(image_k_is_the_job_of_seed_plus_k),
      TEST(a_stopped_job_is_gone_at_once),
      TEST(what_the_model_cannot_do_is_refused_by_name),
      TEST(no_slot_means_try_later),
      TEST(memory_is_promised_at_admission),
      TEST(any_budget_gives_back_all_it_took),
      TEST(a_prompt_is_encoded_once),
      TEST(an_infinite_sample_fails_alone),
      TEST(a_flat_picture_is_no_picture),
      TEST(a_failed_call_fails_its_jobs_and_a_broken_device_leaves),
      TEST(a_restless_device_does_not_open),
      TEST(settings_out_of_range_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
