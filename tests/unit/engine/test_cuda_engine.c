/* test_cuda_engine.c - the engine on a cuda device, whose queues are late and run in any order
 * (over the emulation: by a seed): the same pictures as with one turn at a time, whoever comes, is
 * cancelled, grows or finds no room meanwhile; and a device that breaks is left. */
#include "worker/engine/state.h"
/* the order that cmocka's macro `fail` asks for */
#include "tests/unit/model/tiny.h"

#include "proto/job.h"
#include "tests/unit/engine/book.h"

#include "tests/unit/kernels/cuda_device.h"

#define fail() _fail(__FILE__, __LINE__)

enum { JOBS = 4, SIDE = 16, SEEDS = 2 };
#define MEMORY ((size_t)96 << 20)

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static enum status try_open(struct fixture *fixture, int max_side, size_t memory_max) {
  static char folder[256];
  static struct engine_model model = {.id = "fake"};
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  model.source.folder = folder;
  struct engine_settings settings = {.device = fixture->device,
                                     .models = &model,
                                     .model_count = 1,
                                     .slots = 4,
                                     .batch_rows = 4,
                                     .max_side = max_side,
                                     .memory_max = memory_max};
  struct engine_listener listener = book_listener(&fixture->book);
  return engine_open(&settings, &listener, &fixture->engine);
}

static void open_fixture(struct fixture *fixture) {
  *fixture = (struct fixture){0};
  fixture->device = open_cuda(&(struct device_settings){.memory_max = 2 * MEMORY});
  assert_ok(try_open(fixture, SIDE + 8, MEMORY));
}

static void close_fixture(struct fixture *fixture) {
  static size_t kept; /* by the device, for its libraries */
  engine_close(&fixture->engine);
  assert_true(kept == 0 || device_memory_used(fixture->device) == kept);
  kept = device_memory_used(fixture->device);
  device_close(&fixture->device);
  book_close(&fixture->book);
}

/* All samplers, guided and not, of two shapes. */
static Darkroom__V1__Job crowd_job(int k, const char *id) {
  static const char *const kinds[] = {"euler_a", "dpmpp_2m", "ddim", "euler_a"};
  Darkroom__V1__Job job = job_of(id, k % 2 == 0 ? "a red house" : "a boat", 10 + (uint64_t)k);
  job.steps = 2 + (uint32_t)k % 2;
  job.width = SIDE;
  job.height = k == 3 ? SIDE + 8 : SIDE;
  job.has_guidance_scale = job.has_noise_schedule = 1;
  job.guidance_scale = k == 1 ? 1 : 7.5;
  assert_ok(job_sampler_parse(kinds[k], &job.sampler, &job.noise_schedule, NULL));
  return job;
}

static void turn(struct fixture *fixture, bool one_at_a_time) {
  assert_ok(engine_turn(fixture->engine));
  if (one_at_a_time) {
    assert_ok(device_wait(fixture->device));
  }
}

static void run_all(struct fixture *fixture, bool one_at_a_time) {
  while (engine_busy(fixture->engine)) {
    turn(fixture, one_at_a_time);
  }
}

static void run_alone(struct fixture *fixture, uint64_t hashes[JOBS]) {
  for (int k = 0; k < JOBS; k++) {
    char id[32];
    snprintf(id, sizeof id, "alone-%d", k);
    Darkroom__V1__Job job = crowd_job(k, id);
    assert_ok(engine_admit(fixture->engine, &job, 1, NULL));
    run_all(fixture, true);
    hashes[k] = book_find(&fixture->book, id)->hash[0];
    assert_int_equal(book_find(&fixture->book, id)->finished, 1);
  }
}

/* Strangers are stopped in the middle of their turns; one is larger than all before, so that the
 * scratch moves. */
static void run_crowd(struct fixture *fixture, uint64_t hashes[JOBS]) {
  for (int k = 0; k < JOBS; k++) {
    static char ids[JOBS][32], strangers[JOBS][32];
    snprintf(ids[k], sizeof ids[k], "mated-%d", k);
    snprintf(strangers[k], sizeof strangers[k], "stranger-%d", k);
    Darkroom__V1__Job job = crowd_job(k, ids[k]), stranger = crowd_job(k, strangers[k]);
    stranger.seed += 100;
    stranger.steps = 4;
    stranger.width = k == 2 ? SIDE + 8 : SIDE;
    while (engine_admit(fixture->engine, &job, 1, NULL) != OK) {
      turn(fixture, false);
    }
    bool admitted = engine_admit(fixture->engine, &stranger, 1, NULL) == OK;
    turn(fixture, false);
    if (admitted && k % 2 == 0) {
      engine_stop(fixture->engine, strangers[k], 1);
    }
  }
  run_all(fixture, false);
  for (int k = 0; k < JOBS; k++) {
    char id[32];
    snprintf(id, sizeof id, "mated-%d", k);
    hashes[k] = book_find(&fixture->book, id)->hash[0];
    assert_int_equal(book_find(&fixture->book, id)->finished, 1);
  }
}

/* With any order of queues, and the same from one process to the next. */
static void pictures_are_those_of_one_turn_at_a_time(void **state) {
  (void)state;
  struct fixture fixture;
  uint64_t alone[JOBS], mated[JOBS], sum = 0;
  open_fixture(&fixture);
  run_alone(&fixture, alone);
  run_crowd(&fixture, mated);
  close_fixture(&fixture);
  assert_memory_equal(alone, mated, sizeof alone);
  for (int k = 0; k < JOBS; k++) {
    sum = sum * 31 + alone[k];
  }
  char expected[64];
  snprintf(expected, sizeof expected, "EXPECTED=%llx", (unsigned long long)sum);
  if (is_again()) {
    assert_string_equal(getenv("EXPECTED"), expected + strlen("EXPECTED="));
    return;
  }
  for (int seed = 1; seed <= SEEDS; seed++) {
    char setting[32];
    snprintf(setting, sizeof setting, "EMULATION_SEED=%d", seed);
    run_again("pictures_are_those_of_one_turn_at_a_time",
              (const char *const[]){setting, expected, NULL});
  }
}

/* Under all that is in flight. */
static void an_engine_closes_at_any_time(void **state) {
  (void)state;
  struct fixture fixture;
  for (int turns = 1; turns < 4; turns++) {
    open_fixture(&fixture);
    for (int k = 0; k < 2; k++) {
      Darkroom__V1__Job job = crowd_job(k, k == 0 ? "one" : "two");
      assert_ok(engine_admit(fixture.engine, &job, 1, NULL));
    }
    for (int i = 0; i < turns; i++) {
      turn(&fixture, false);
    }
    engine_stop(fixture.engine, "two", 1);
    close_fixture(&fixture);
  }
}

static void what_there_is_no_room_for_is_refused(void **state) {
  (void)state;
  struct fixture fixture = {0};
  fixture.device = open_cuda(&(struct device_settings){.memory_max = 2 * MEMORY});
  assert_int_equal(try_open(&fixture, SIDE, 4096), EXHAUSTED);
  device_close(&fixture.device);
}

/* An illegal address in the middle of the work: neither a picture nor a crash, but the word to
 * leave. */
static void a_device_that_breaks_is_left(void **state) {
  (void)state;
  if (!is_again()) {
    static const char *const faults[] = {"EMULATION_FAULT=launch:40", "EMULATION_FAULT=launch:1500",
                                         "EMULATION_FAULT=copy:90"};
    struct device *device = open_cuda(&(struct device_settings){.memory_max = 2 * MEMORY});
    device_close(&device);
    for (int i = 0; i < 3; i++) {
      run_again("a_device_that_breaks_is_left", (const char *const[]){faults[i], NULL});
    }
    return;
  }
  struct fixture fixture = {0};
  fixture.device = open_cuda(&(struct device_settings){.memory_max = 2 * MEMORY});
  enum status status = try_open(&fixture, SIDE, MEMORY);
  Darkroom__V1__Job job = crowd_job(0, "unlucky");
  job.steps = 100;
  status = status == OK ? engine_admit(fixture.engine, &job, 1, NULL) : status;
  while (status == OK && engine_busy(fixture.engine)) {
    status = engine_turn(fixture.engine);
  }
  assert_int_equal(status, BROKEN);
  assert_int_equal(book_find(&fixture.book, "unlucky")->pictures, 0);
  _exit(0); /* as an engine does: the device's own calls may hang */
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pictures_are_those_of_one_turn_at_a_time),
      cmocka_unit_test(an_engine_closes_at_any_time),
      cmocka_unit_test(what_there_is_no_room_for_is_refused),
      cmocka_unit_test(a_device_that_breaks_is_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
