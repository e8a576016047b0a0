/* test_memory_total.c - a share of real memory, for weights and all else: with real models on real
 * devices, what is promised covers what the ops take beside it. */
#include "tests/unit/model/tiny.h"

#include "tests/unit/engine/book.h"

#define MIB ((size_t)1024 * 1024)

static const struct engine_model *models(void) {
  static char folder[256];
  static struct engine_model model = {.id = "fake"}; /* as book.h's jobs name it */
  snprintf(folder, sizeof folder, "%s", tiny_folder("tiny-eps"));
  model.source.folder = folder;
  return &model;
}

static void run_all(struct engine *engine) {
  while (engine_busy(engine)) {
    assert_ok(engine_turn(engine));
  }
}

/* One picture as large as is advertised, then a batch of middling ones. The device refuses what
 * goes over its share, and that would be a failed job. */
static void work(struct engine *engine, struct book *book, uint32_t side) {
  Darkroom__V1__Job most = job_of("most", "a red house", 1);
  most.width = most.height = side;
  most.steps = 1;
  assert_ok(engine_admit(engine, &most, 1, NULL));
  run_all(engine);
  Darkroom__V1__Job several = job_of("several", "a red house", 1);
  several.width = several.height = side / 2 / 8 * 8;
  several.steps = 1;
  several.has_images = 1;
  several.images = 4;
  assert_ok(engine_admit(engine, &several, 1, NULL));
  run_all(engine);
  assert_int_equal(book_find(book, "most")->finished, 1);
  assert_int_equal(book_find(book, "several")->finished, 1);
}

static uint32_t try_share(const char *name, bool force_f32, size_t total) {
  static struct book book;
  struct device_settings limits = {.threads = 2, .force_f32 = force_f32, .memory_max = total};
  struct device *device = NULL;
  struct engine *engine = NULL;
  assert_ok(device_open(name, &limits, &device));
  struct engine_settings settings = {.device = device,
                                     .models = models(),
                                     .model_count = 1,
                                     .slots = 8,
                                     .batch_rows = 16,
                                     .max_side = 512,
                                     .memory_total = total};
  struct engine_listener listener = book_listener(&book);
  assert_ok(engine_open(&settings, &listener, &engine));
  Darkroom__V1__ModelInfo info;
  engine_model_info(engine, 0, &info);
  work(engine, &book, info.max_side);
  assert_true(device_memory_peak(device) <= total);
  engine_close(&engine);
  device_close(&device);
  book_close(&book);
  return info.max_side;
}

static void a_share_is_enough_for_what_it_promises(void **state) {
  (void)state;
  static const struct {
    const char *device;
    bool force_f32;
  } subjects[] = {{"cpu", false}, {"cpu", true}};
  for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
    uint32_t before = 0;
    for (size_t total = 40 * MIB; total <= 160 * MIB; total *= 2) {
      uint32_t side = try_share(subjects[i].device, subjects[i].force_f32, total);
      print_message("%s %s: %zu MiB, up to %u\n", subjects[i].device,
                    subjects[i].force_f32 ? "f32" : "as it likes", total / MIB, side);
      assert_true(side > before || side == 512);
      before = side;
    }
  }
}

static void a_share_that_the_weights_fill_is_refused(void **state) {
  (void)state;
  struct device_settings limits = {.threads = 1, .memory_max = MIB / 4};
  struct device *device = NULL;
  struct engine *engine = NULL;
  struct engine_listener listener = {0};
  assert_ok(device_open("cpu", &limits, &device));
  struct engine_settings settings = {.device = device,
                                     .models = models(),
                                     .model_count = 1,
                                     .slots = 8,
                                     .batch_rows = 16,
                                     .max_side = 512,
                                     .memory_total = MIB / 4};
  assert_int_equal(engine_open(&settings, &listener, &engine), EXHAUSTED);
  device_close(&device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_share_is_enough_for_what_it_promises),
      cmocka_unit_test(a_share_that_the_weights_fill_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
