/* fake_engine.h - an engine over the fake model and a book of what it tells: setup, teardown and
 * short words. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_ENGINE_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_ENGINE_H

#include "tests/unit/engine/book.h"
#include "tests/unit/engine/fake_model.h"

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
                                             {.id = "other", .source.folder = "other"},
                                             {.id = "fills", .source.folder = "fills"}};

static const struct engine_extra extras[] = {
    {.kind = EXTRA_CONTROL, .id = "lines", .source.folder = "lines"},
    {.kind = EXTRA_CONTROL, .id = "strange", .source.folder = "strange"},
    {.kind = EXTRA_CONTROL, .id = "depth", .source.folder = "depth"}};

static inline struct engine_settings standard(struct fixture *fixture) {
  return (struct engine_settings){.device = fixture->device,
                                  .models = models,
                                  .model_count = 2,
                                  .extras = extras,
                                  .extra_count = 3,
                                  .slots = 8,
                                  .batch_rows = 16,
                                  .max_side = 256,
                                  .memory_max = 16 << 20};
}

static inline void open_engine(struct fixture *fixture, const struct engine_settings *settings) {
  struct engine_listener listener = book_listener(&fixture->book);
  engine_close(&fixture->engine);
  book_close(&fixture->book);
  enum status status = engine_open(settings, &listener, &fixture->engine);
  if (status != OK) {
    fail_msg("%s: %s", status_name(status), fail_reason());
  }
  fake.calls = 0;
  fake.conditioned = 0;
}

static inline int setup(void **state) {
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

static inline int teardown(void **state) {
  struct fixture *fixture = *state;
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
  return 0;
}

static inline void run_turns(struct fixture *fixture, int turns) {
  for (int i = 0; i < turns && engine_busy(fixture->engine); i++) {
    assert_int_equal(engine_turn(fixture->engine), OK);
  }
}
static inline void run_all(struct fixture *fixture) {
  run_turns(fixture, 100000);
  assert_false(engine_busy(fixture->engine));
}
static inline struct entry *admit(struct fixture *fixture, const Darkroom__V1__Job *job) {
  assert_int_equal(engine_admit(fixture->engine, job, 7, NULL), OK);
  return book_find(&fixture->book, job->id);
}

/* Any of many jobs that have nothing in common. */
static inline Darkroom__V1__Job stranger(int k) {
  static char ids[64][32];
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
