/* test_warmup.c - what the first picture of a model's own size would pay for is paid before. */
#include "tests/unit/model/tiny.h"

#include "tests/unit/engine/book.h"
#include "worker/engine/state.h"

/* A model whose own size is not that of the self-test's picture. */
#define LARGER "build/test-warmup-model"

struct bench {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static void open_bench(struct bench *bench, const char *device, size_t memory) {
  static struct engine_model model = {.id = "fake", .source.folder = LARGER}; /* as jobs name it */
  (void)tiny_folder("tiny-eps");
  tiny_shell("rm -rf " LARGER " && cp -r " TINY_FIXTURES "/tiny-eps " LARGER
             " && sed -i 's/\"sample_size\": 8/\"sample_size\": 16/' " LARGER "/unet/config.json");
  *bench = (struct bench){0};
  struct device_settings limits = {.threads = 1};
  assert_ok(device_open(device, &limits, &bench->device));
  struct engine_settings settings = {.device = bench->device,
                                     .models = &model,
                                     .model_count = 1,
                                     .slots = 8,
                                     .batch_rows = 16,
                                     .max_side = 256,
                                     .memory_max = memory};
  struct engine_listener listener = book_listener(&bench->book);
  assert_ok(engine_open(&settings, &listener, &bench->engine));
}

static void close_bench(struct bench *bench) {
  engine_close(&bench->engine);
  device_close(&bench->device);
  book_close(&bench->book);
}

/* Whether the rate of a shape was measured, not told from another's. */
static bool knows_own_size(const struct bench *bench, enum pace_kind kind) {
  const struct resident *resident = &bench->engine->residence.rows[0];
  int64_t side = resident->family->unet.sample_side;
  for (int i = 0; i < PACE_SHAPES_MAX; i++) {
    const struct pace_shape *shape = &bench->engine->pace.shape[i];
    if (shape->model == resident && shape->kind == kind && shape->cells == side * side) {
      return shape->row_us > 0;
    }
  }
  return false;
}

static void a_device_that_prepares_has_met_the_models_own_size(void **state) {
  (void)state;
  struct bench bench;
  open_bench(&bench, "cpu", (size_t)64 << 20);
  assert_true(knows_own_size(&bench, PACE_STEP));
  assert_false(engine_busy(bench.engine));
  for (int i = 0; i < SCRATCHES; i++) {
    assert_int_equal(bench.engine->scratch[i].bytes, 0); /* the next one takes what it needs */
  }
  close_bench(&bench);
}

/* Where nothing is prepared nobody waits, and where there is little room it is left for jobs. */
static void no_engine_waits_or_fails_for_it(void **state) {
  (void)state;
  struct bench bench;
  open_bench(&bench, "ref", (size_t)64 << 20);
  assert_int_equal(bench.engine->residence.rows[0].family->unet.sample_side, 16);
  assert_false(knows_own_size(&bench, PACE_STEP));
  close_bench(&bench);
  open_bench(&bench, "cpu", (size_t)1 << 20);
  Darkroom__V1__Job job = job_of("job", "a house", 5);
  job.width = job.height = 32;
  assert_ok(engine_admit(bench.engine, &job, 1, NULL));
  while (engine_busy(bench.engine)) {
    assert_ok(engine_turn(bench.engine));
  }
  assert_int_equal(book_find(&bench.book, "job")->finished, 1);
  close_bench(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_device_that_prepares_has_met_the_models_own_size),
      cmocka_unit_test(no_engine_waits_or_fails_for_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
