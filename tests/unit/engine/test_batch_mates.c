/* test_batch_mates.c - an image does not depend on its batch mates: the same job alone and with
 * seven strangers of other steps, guidance, samplers, sizes, prompts and models joining and
 * leaving, on every backend: identical bytes. */
#include "tests/unit/model/tiny.h"

#include "proto/job.h"
#include "tests/unit/engine/book.h"

enum { STRANGERS = 7, JOBS_MAX = 4 };

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static void open_fixture(struct fixture *fixture, const char *device,
                         const struct device_settings *settings) {
  static char folders[2][256];
  snprintf(folders[0], sizeof folders[0], "%s", tiny_folder("tiny-eps"));
  snprintf(folders[1], sizeof folders[1], "%s", tiny_folder("tiny-v"));
  const struct engine_model models[] = {{.id = "tiny-eps", .source.folder = folders[0]},
                                        {.id = "tiny-v", .source.folder = folders[1]}};
  *fixture = (struct fixture){0};
  assert_ok(device_open(device, settings, &fixture->device));
  struct engine_settings engine = {.device = fixture->device,
                                   .models = models,
                                   .model_count = 2,
                                   .slots = 8,
                                   .batch_rows = 16,
                                   .max_side = 128,
                                   .memory_max = TINY_ARENA_BYTES};
  struct engine_listener listener = book_listener(&fixture->book);
  assert_ok(engine_open(&engine, &listener, &fixture->engine));
}

static void close_fixture(struct fixture *fixture) {
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
}

/* Names of samplers in turn. */
static const char *any_sampler(int k) {
  size_t count = 0;
  while (job_sampler_offered(count) != NULL) {
    count++;
  }
  return job_sampler_offered((size_t)k % count);
}

/* Job k of those that are compared: PNDM, DPM++ 2M SDE, UniPC and Euler ancestral, with and without
 * guidance; strangers come with every sampler. */
static Darkroom__V1__Job compared_job(int k, const char *id) {
  Darkroom__V1__Job job = job_of(id, "a red house by the lake at night", 1000 + (uint64_t)k);
  job.model = (char *)(k % 2 == 0 ? "tiny-eps" : "tiny-v");
  job.steps = 5;
  job.width = 64;
  job.height = k == 2 ? 40 : 64;
  job.has_guidance_scale = job.has_noise_schedule = 1;
  job.guidance_scale = k == 1 ? 1.0 : 7.5;
  assert_ok(job_sampler_parse(any_sampler(14 + 9 * k), &job.sampler, &job.noise_schedule, NULL));
  return job;
}

static Darkroom__V1__Job stranger(int k) {
  static char ids[STRANGERS * JOBS_MAX][32];
  static const char *const prompts[] = {"snow", "a boat on the lake", "",
                                        "mountain and moon at night by the lake"};
  int round = k % (STRANGERS * JOBS_MAX);
  snprintf(ids[round], sizeof ids[0], "stranger-%d", k);
  Darkroom__V1__Job job = job_of(ids[round], prompts[k % 4], (uint64_t)k);
  job.model = (char *)(k % 5 == 4 ? "tiny-v" : "tiny-eps");
  job.steps = 2 + (uint32_t)(k * 3) % 7;
  job.has_guidance_scale = job.has_noise_schedule = 1;
  job.guidance_scale = (k * 5) % 4 + 0.5;
  job.width = k % 4 == 3 ? 72 : 64;
  job.height = k % 7 == 2 ? 40 : 64;
  assert_ok(job_sampler_parse(any_sampler(k * 5), &job.sampler, &job.noise_schedule, NULL));
  return job;
}

static void run_turns(struct fixture *fixture, int turns) {
  for (int i = 0; i < turns && engine_busy(fixture->engine); i++) {
    assert_ok(engine_turn(fixture->engine));
  }
}

static void check_job(struct fixture *fixture, int k) {
  char alone_id[32], mated_id[32];
  snprintf(alone_id, sizeof alone_id, "alone-%d", k % 100);
  snprintf(mated_id, sizeof mated_id, "mated-%d", k % 100);
  Darkroom__V1__Job alone = compared_job(k, alone_id), mated = compared_job(k, mated_id);
  assert_ok(engine_admit(fixture->engine, &alone, 1, NULL));
  run_turns(fixture, 1000);
  for (int i = 0; i < STRANGERS; i++) {
    Darkroom__V1__Job other = stranger(k * STRANGERS + i);
    assert_ok(engine_admit(fixture->engine, &other, 1, NULL));
    if (i == 2) {
      assert_ok(engine_admit(fixture->engine, &mated, 1, NULL));
    }
    if (i == 5) {
      engine_stop(fixture->engine, other.id, 1);
    }
    run_turns(fixture, i % 2);
  }
  run_turns(fixture, 1000);
  const struct entry *one = book_find(&fixture->book, alone_id),
                     *two = book_find(&fixture->book, mated_id);
  assert_int_equal(one->finished, 1);
  assert_int_equal(two->finished, 1);
  assert_memory_equal(one->rgb, two->rgb, (size_t)one->width * one->height * 3);
}

static void check_device(const char *device, const struct device_settings *settings, int jobs) {
  struct fixture fixture;
  open_fixture(&fixture, device, settings);
  for (int k = 0; k < jobs; k++) {
    check_job(&fixture, k);
  }
  assert_true(fixture.book.largest_rows >= 6);
  close_fixture(&fixture);
}

static void on_ref(void **state) {
  (void)state;
  check_device("ref", &(struct device_settings){0}, 3); /* plain loops take their time */
}
static void on_cpu(void **state) {
  (void)state;
  check_device("cpu", &(struct device_settings){.threads = 1}, 4);
}
static void on_cpu_with_two_threads(void **state) {
  (void)state;
  check_device("cpu", &(struct device_settings){.threads = 2}, 1);
}
static void on_cpu_in_f32(void **state) {
  (void)state;
  check_device("cpu", &(struct device_settings){.threads = 1, .force_f32 = true}, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(on_ref),
      cmocka_unit_test(on_cpu),
      cmocka_unit_test(on_cpu_with_two_threads),
      cmocka_unit_test(on_cpu_in_f32),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
