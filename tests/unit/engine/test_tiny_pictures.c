/* test_tiny_pictures.c - pictures by a real tiny decoder through the whole engine: those that it
 * makes of the latents by itself (which are diffusers', to 1 of 255), the
 * same bytes alone and among others. */
#include "tests/unit/engine/workbench.h"

#include "proto/job.h"
#include "tests/unit/engine/book.h"
#include "worker/model/tiny_vae.h"

enum { SIDE = 64, CELLS = 8, CHANNELS = 4, PIXEL_BYTES = SIDE * SIDE * 3 };

static Darkroom__V1__Job asking(const char *id, uint64_t seed) {
  Darkroom__V1__Job job = job_of(id, "a red house by the lake at night", seed);
  job.model = (char *)"tiny-eps";
  job.has_tiny_decoder = job.tiny_decoder = 1;
  return job;
}

/* ---- what it should be ---- */

/* Latents [H, W, C] on the device, through the decoder and nothing else. */
static void decode(struct workbench *bench, const struct tensor *latents, uint8_t *out) {
  struct tiny_vae *tiny = NULL;
  struct decode decode;
  struct tensor told;
  const struct model_source source = {.folder = tiny_folder("tiny-taesd")};
  const struct family *family = bench->residence.rows[0].family;
  arena_drop(bench->scratch);
  assert_ok(tiny_vae_open(bench->device, &source, family, &tiny));
  const struct batch_row row = {.latents = latents->data, .scale = tiny_vae_scale(tiny)};
  const int64_t bytes[] = {sizeof row}, one[] = {1}, shape[] = {SIDE, SIDE, 3};
  assert_ok(tensor_take(bench->scratch, ELEMENT_U8, 1, bytes, &told));
  assert_ok(tensor_take(bench->scratch, ELEMENT_I32, 1, one, &decode.finite));
  assert_ok(tensor_take(bench->scratch, ELEMENT_U8, 3, shape, &decode.pixels));
  assert_ok(device_put(bench->device, &row, sizeof row, &told));
  decode.row = told.data;
  assert_ok(tiny_vae_decode(tiny, bench->scratch, &decode));
  assert_ok(device_get(bench->device, &decode.pixels, out, PIXEL_BYTES));
  tiny_vae_close(&tiny);
}

/* diffusers' picture of diffusers' latents, in the device's own f32. */
static void check_golden(struct workbench *bench) {
  struct goldens goldens;
  struct tensor latents;
  float values[CELLS * CELLS * CHANNELS];
  uint8_t *got = malloc(PIXEL_BYTES);
  goldens_open_file(&goldens, "families.safetensors");
  const float *planes = golden(&goldens, "taesd.latents");
  const uint8_t *want = golden(&goldens, "taesd.pixels");
  for (int i = 0; i < CELLS * CELLS * CHANNELS; i++) {
    values[i] = planes[i % CHANNELS * CELLS * CELLS + i / CHANNELS];
  }
  const int64_t shape[] = {CELLS, CELLS, CHANNELS};
  struct arena *memory = NULL;
  assert_ok(device_arena(bench->device, 1 << 16, &memory));
  assert_ok(tensor_take(memory, ELEMENT_F32, 3, shape, &latents));
  assert_ok(device_put(bench->device, values, sizeof values, &latents));
  decode(bench, &latents, got);
  for (int i = 0; i < PIXEL_BYTES; i++) {
    assert_in_range(got[i] - want[i] + 1, 0, 2);
  }
  arena_close(&memory);
  goldens_close(&goldens);
  free(got);
}

static void picture_by_hand(uint8_t *out) {
  struct workbench bench;
  struct task task;
  struct sample sample;
  Darkroom__V1__Job job = asking("by hand", 1234);
  job.tiny_decoder = 0; /* there is no engine around it that has one */
  workbench_open(&bench, "cpu", true);
  check_golden(&bench);
  workbench_begin(&bench, &job, &task, &sample);
  while (sample_needs(&sample) == NEED_STEP) {
    workbench_step(&bench, &sample);
  }
  decode(&bench, &sample.latents, out);
  workbench_end(&task, &sample);
  workbench_close(&bench);
}

/* ---- the engine ---- */

struct bench {
  struct device *device;
  struct engine *engine;
  struct book book;
};

static void open_engine(struct bench *bench) {
  static char folders[2][256];
  snprintf(folders[0], sizeof folders[0], "%s", tiny_folder("tiny-eps"));
  snprintf(folders[1], sizeof folders[1], "%s", tiny_folder("tiny-taesd"));
  static const struct engine_model model = {.id = "tiny-eps", .source.folder = folders[0]};
  static const struct engine_extra extra = {
      .kind = EXTRA_TINY, .id = "small", .source.folder = folders[1]};
  const struct device_settings settings = {.threads = 1, .force_f32 = true};
  assert_ok(device_open("cpu", &settings, &bench->device));
  const struct engine_settings engine = {.device = bench->device,
                                         .models = &model,
                                         .model_count = 1,
                                         .extras = &extra,
                                         .extra_count = 1,
                                         .slots = 8,
                                         .batch_rows = 16,
                                         .max_side = 128,
                                         .memory_max = TINY_ARENA_BYTES};
  struct engine_listener listener = book_listener(&bench->book);
  assert_ok(engine_open(&engine, &listener, &bench->engine));
}

static const uint8_t *draw(struct bench *bench, const Darkroom__V1__Job *jobs, int count) {
  for (int i = 0; i < count; i++) {
    assert_ok(engine_admit(bench->engine, &jobs[i], 1, NULL));
  }
  while (engine_busy(bench->engine)) {
    assert_ok(engine_turn(bench->engine));
  }
  const struct entry *entry = book_find(&bench->book, jobs[0].id);
  assert_int_equal(entry->finished, 1);
  return entry->rgb;
}

static void the_same_alone_and_among_others(void **state) {
  (void)state;
  struct bench bench = {0};
  uint8_t *want = malloc(PIXEL_BYTES);
  picture_by_hand(want);
  open_engine(&bench);
  Darkroom__V1__Job alone = asking("alone", 1234);
  Darkroom__V1__Job many[] = {asking("among", 1234), asking("own", 1234), asking("other", 5),
                              asking("shown", 6)};
  many[1].tiny_decoder = 0;
  many[3].has_preview_every = many[3].has_preview_kind = 1;
  many[3].preview_every = 1;
  many[3].preview_kind = DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
  assert_memory_equal(draw(&bench, &alone, 1), want, PIXEL_BYTES);
  assert_memory_equal(draw(&bench, many, 4), want, PIXEL_BYTES);
  assert_memory_not_equal(book_find(&bench.book, "own")->rgb, want, PIXEL_BYTES);
  assert_int_equal(book_find(&bench.book, "shown")->previews, 3);
  assert_int_equal(book_find(&bench.book, "shown")->preview_side, SIDE);
  engine_close(&bench.engine);
  device_close(&bench.device);
  book_close(&bench.book);
  free(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_alone_and_among_others)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
