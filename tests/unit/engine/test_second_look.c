/* test_second_look.c - a picture that overflowed in 16 bits is decoded once more in f32, from a
 * real model's own files; one that is no better fails its job, and nothing else. */
#include "tests/unit/model/tiny.h"

#include "tests/unit/engine/book.h"

/* One channel of the decoder's last norm is a number that f32 can hold and 16 bits can not (bf16
 * rounds it to infinity, f16 has nothing near it), and the last convolution does not look at it: 0
 * times a number is 0, 0 times infinity is not a number. */
#define LARGE 3.399e38f

struct fixture {
  char folder[64];
  struct device *device;
  struct engine *engine;
  struct book book;
};

/* Sets the first `count` values of a tensor of f32 in the file, each `step` further. */
struct patch {
  const char *name;
  size_t first, count, step;
  float value;
};

static void patch_file(const char *path, const struct patch *patches, int count) {
  struct goldens file; /* a safetensors file like any other */
  bytes_open(&file.file, TINY_ARENA_BYTES);
  assert_ok(bytes_read_file(&file.file, path));
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &file.arena));
  assert_ok(safetensors_read(path, file.file.data, file.file.length, file.arena, &file.table));
  for (int i = 0; i < count; i++) {
    float *values = (float *)(uintptr_t)golden(&file, patches[i].name);
    for (size_t k = 0; k < patches[i].count; k++) {
      memcpy(&values[patches[i].first + k * patches[i].step], &patches[i].value, sizeof(float));
    }
  }
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(file.file.data, 1, file.file.length, out), file.file.length);
  assert_int_equal(fclose(out), 0);
  goldens_close(&file);
}

/* A copy of a tiny model whose decoder overflows. */
static void make_folder(struct fixture *fixture) {
  char command[512], path[128];
  snprintf(fixture->folder, sizeof fixture->folder, TINY_FIXTURES ".large.%d", getpid());
  snprintf(command, sizeof command, "rm -rf %s && cp -r %s %s", fixture->folder,
           tiny_folder("tiny-eps"), fixture->folder);
  tiny_shell(command);
  snprintf(path, sizeof path, "%s/vae/diffusion_pytorch_model.safetensors", fixture->folder);
  const struct patch patches[] = {
      {"decoder.conv_norm_out.weight", 0, 1, 1, 0.0f},
      {"decoder.conv_norm_out.bias", 0, 1, 1, LARGE},
      {"decoder.conv_out.weight", 0, 9, 1, 0.0f}, /* [3, 16, 3, 3]: of the three outputs, input 0 */
      {"decoder.conv_out.weight", 144, 9, 1, 0.0f},
      {"decoder.conv_out.weight", 288, 9, 1, 0.0f},
  };
  patch_file(path, patches, sizeof patches / sizeof patches[0]);
}

static enum status open_engine(struct fixture *fixture, bool force_f32, size_t memory_max) {
  const struct engine_model model = {.id = "fake", .source.folder = fixture->folder};
  struct device_settings settings = {.threads = 1, .force_f32 = force_f32};
  assert_ok(device_open("cpu", &settings, &fixture->device));
  struct engine_settings engine = {.device = fixture->device,
                                   .models = &model,
                                   .model_count = 1,
                                   .slots = 4,
                                   .batch_rows = 8,
                                   .max_side = 64,
                                   .memory_max = memory_max};
  struct engine_listener listener = book_listener(&fixture->book);
  return engine_open(&engine, &listener, &fixture->engine);
}

static int setup(void **state) {
  static struct fixture fixture;
  fixture = (struct fixture){0};
  make_folder(&fixture);
  *state = &fixture;
  return 0;
}
static int teardown(void **state) {
  struct fixture *fixture = *state;
  char command[128];
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
  snprintf(command, sizeof command, "rm -rf %s", fixture->folder);
  tiny_shell(command);
  return 0;
}

static const struct entry *run_job(struct fixture *fixture, const char *id) {
  Darkroom__V1__Job job = job_of(id, "a red house", 3);
  assert_ok(engine_admit(fixture->engine, &job, 1, NULL));
  while (engine_busy(fixture->engine)) {
    assert_ok(engine_turn(fixture->engine));
  }
  return book_find(&fixture->book, id);
}

/* The same picture as where all is in f32, but for what 16 bits do to the latents; and the memory
 * is given back. */
static void it_is_decoded_in_f32(void **state) {
  struct fixture *fixture = *state;
  uint8_t exact[64 * 64 * 3];
  assert_ok(open_engine(fixture, true, TINY_ARENA_BYTES));
  memcpy(exact, run_job(fixture, "exact")->rgb, sizeof exact);
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  assert_ok(open_engine(fixture, false, TINY_ARENA_BYTES));
  if (device_element(fixture->device) == ELEMENT_F32) {
    skip(); /* a processor without bf16 */
  }
  const struct entry *entry = run_job(fixture, "first");
  size_t used = device_memory_used(fixture->device);
  assert_int_equal(entry->finished, 1);
  int past = 0;
  for (size_t i = 0; i < sizeof exact; i++) {
    past += abs(entry->rgb[i] - exact[i]) > 16;
  }
  assert_true(past < (int)sizeof exact / 20);
  entry = run_job(fixture, "second");
  assert_int_equal(entry->finished, 1);
  assert_int_equal(device_memory_used(fixture->device), used);
}

/* Its files are no more what they were: there is nothing to decode with. */
static void files_that_changed_are_not_used(void **state) {
  struct fixture *fixture = *state;
  char path[128];
  assert_ok(open_engine(fixture, false, TINY_ARENA_BYTES));
  if (device_element(fixture->device) == ELEMENT_F32) {
    skip();
  }
  size_t used = device_memory_used(fixture->device);
  snprintf(path, sizeof path, "%s/vae/diffusion_pytorch_model.safetensors", fixture->folder);
  assert_int_equal(unlink(path), 0);
  const struct entry *entry = run_job(fixture, "orphan");
  assert_int_equal(entry->finished, 0);
  assert_int_equal(entry->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
  assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  assert_in_range(device_memory_used(fixture->device), used / 2, used * 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(it_is_decoded_in_f32),
      TEST(files_that_changed_are_not_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
