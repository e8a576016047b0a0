/* test_tiled_pictures.c - pictures of real models, decoded some tiles a turn by the whole engine:
 * the bytes of those decoded at once, alone and together, wherever others come and leave. */
#include "base/clock.h"
#include "tests/unit/model/tiny.h"

#include "tests/unit/engine/book.h"
#include "worker/engine/state.h"

enum { JOBS = 6, MODELS = 2 };
#define LONG_US UINT64_C(1000000000000000)

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static void open_engine(struct fixture *fixture, const char *device) {
  static char folders[MODELS][256];
  static const char *const names[MODELS] = {"tiny-eps", "tiny-xl"};
  struct engine_model models[MODELS];
  for (int i = 0; i < MODELS; i++) {
    snprintf(folders[i], sizeof folders[i], "%s", tiny_folder(names[i]));
    models[i] = (struct engine_model){.id = names[i], .source.folder = folders[i]};
  }
  const struct device_settings settings = {.threads = 1};
  *fixture = (struct fixture){0};
  assert_ok(device_open(device, &settings, &fixture->device));
  struct engine_settings engine = {.device = fixture->device,
                                   .models = models,
                                   .model_count = MODELS,
                                   .slots = JOBS,
                                   .batch_rows = 16,
                                   .max_side = 128,
                                   .memory_max = TINY_ARENA_BYTES};
  struct engine_listener listener = book_listener(&fixture->book);
  assert_ok(engine_open(&engine, &listener, &fixture->engine));
}

static void close_engine(struct fixture *fixture) {
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
}

/* As if decodes had been seen to be very long, and a tile to take so much of a turn. */
static void slow_down(struct fixture *fixture, uint64_t tile_us) {
  for (size_t i = 0; i < MODELS; i++) {
    const struct resident *resident = &fixture->engine->residence.rows[i];
    pace_note(&fixture->engine->pace,
              &(struct pace_work){.model = resident, .kind = PACE_DECODE, .cells = 64, .rows = 1},
              LONG_US);
    pace_note(&fixture->engine->pace,
              &(struct pace_work){.model = resident, .kind = PACE_TILE, .cells = 1, .rows = 1},
              tile_us);
  }
}

static Darkroom__V1__Job job_number(int k) {
  static char ids[JOBS][16];
  snprintf(ids[k], sizeof ids[k], "job-%d", k);
  Darkroom__V1__Job job = job_of(ids[k], k % 2 == 0 ? "a house" : "a boat", (uint64_t)k);
  job.model = (char *)(k % 3 == 2 ? "tiny-xl" : "tiny-eps");
  job.steps = 1 + (uint32_t)k % 3;
  job.width = k % 2 == 0 ? 128 : 96;
  return job;
}

static void run_all(struct fixture *fixture) {
  while (engine_busy(fixture->engine)) {
    assert_ok(engine_turn(fixture->engine));
  }
}

static void admit(struct fixture *fixture, int k) {
  Darkroom__V1__Job job = job_number(k);
  enum status status = engine_admit(fixture->engine, &job, 1, NULL);
  while (status == EXHAUSTED) { /* a smaller block is in use */
    assert_ok(engine_turn(fixture->engine));
    status = engine_admit(fixture->engine, &job, 1, NULL);
  }
  assert_ok(status);
}

static uint64_t hash_of(struct fixture *fixture, int k) {
  const struct entry *entry = book_find(&fixture->book, job_number(k).id);
  assert_int_equal(entry->failed, 0);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

/* In no time: however slow the machine is, no decode is found to be long. */
static void decode_at_once(const char *device, uint64_t hashes[JOBS]) {
  struct fixture fixture;
  clock_hold(1000, 0);
  open_engine(&fixture, device);
  for (int k = 0; k < JOBS; k++) {
    admit(&fixture, k);
    run_all(&fixture);
    hashes[k] = hash_of(&fixture, k);
  }
  assert_int_equal(fixture.engine->scratch[SCRATCH_TILES].bytes, 0);
  close_engine(&fixture);
  clock_let_go();
}

/* apart: turns between two that come; 0: each alone. */
static void decode_in_turns(const char *device, int apart, uint64_t tile_us,
                            const uint64_t hashes[JOBS]) {
  struct fixture fixture;
  open_engine(&fixture, device);
  for (int k = 0; k < JOBS; k++) {
    slow_down(&fixture, tile_us);
    admit(&fixture, k);
    for (int i = 0; i < apart; i++) {
      assert_ok(engine_turn(fixture.engine));
    }
    if (apart == 0) {
      run_all(&fixture);
    }
  }
  run_all(&fixture);
  assert_true(fixture.engine->scratch[SCRATCH_TILES].bytes > 0);
  for (int k = 0; k < JOBS; k++) {
    assert_true(hash_of(&fixture, k) == hashes[k]);
  }
  close_engine(&fixture);
}

static void pictures_are_those_decoded_at_once(void **state) {
  static const struct {
    int apart;
    uint64_t tile_us; /* of 2 s: so many tiles a turn */
  } crowds[] = {{0, LONG_US}, {0, 300000}, {1, LONG_US}, {5, 700000}, {17, 300000}};
  static const char *const devices[] = {"ref", "cpu"};
  (void)state;
  for (size_t d = 0; d < 2; d++) {
    uint64_t hashes[JOBS];
    decode_at_once(devices[d], hashes);
    for (size_t i = 0; i < sizeof crowds / sizeof crowds[0]; i++) {
      decode_in_turns(devices[d], crowds[i].apart, crowds[i].tile_us, hashes);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(pictures_are_those_decoded_at_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
