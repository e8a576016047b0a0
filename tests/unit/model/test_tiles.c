/* test_tiles.c - a picture decoded a tile a turn is the picture decoded at once, byte for byte. */
#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/model_inside.h"
#include "worker/model/vae_tiles.h"

#define HEIGHT 5
#define WIDTH 7

/* Latents on the device, and where a picture goes. */
struct bench {
  struct tiny tiny;
  struct tensor latents, pixels;
  struct decode decode;
};

static void open_bench(struct bench *bench, const char *device, const char *model) {
  struct tiny *tiny = &bench->tiny;
  float values[HEIGHT * WIDTH * 4];
  for (int i = 0; i < HEIGHT * WIDTH * 4; i++) {
    values[i] = (float)(i * 7919 % 1000) / 400 - 1;
  }
  tiny_open(tiny, device, model);
  int factor = model_family(tiny->model)->scale_factor;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(HEIGHT, WIDTH, 4), &bench->latents));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(HEIGHT * factor, WIDTH * factor, 3),
                        &bench->pixels));
  assert_ok(device_put(tiny->device, values, sizeof values, &bench->latents));
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &bench->latents, &bench->pixels,
                          &bench->decode));
}

static void fetch(struct bench *bench, uint8_t *out) {
  assert_ok(device_get(bench->tiny.device, &bench->pixels, out, tensor_bytes(&bench->pixels)));
}

/* Decodes in turns of the engine's kind, `each` at a time, every time into a block that holds
 * nothing else. */
static void decode_turns(struct bench *bench, int64_t each, uint8_t *out) {
  struct tiny *tiny = &bench->tiny;
  struct arena *block = NULL;
  int64_t turns = model_decode_turns(tiny->model, HEIGHT, WIDTH);
  size_t bytes = model_decode_turns_bytes(tiny->model, HEIGHT, WIDTH);
  assert_true(turns > 20);
  assert_ok(device_block(tiny->device, bytes, &block));
  for (int64_t first = 0; first < turns; first += each) {
    int64_t count = first + each < turns ? each : turns - first;
    assert_ok(model_decode_turn(tiny->model, block, &bench->decode, first, count));
    assert_int_equal(arena_used(block), 0);
  }
  assert_int_equal(arena_peak(block), bytes);
  arena_close(&block);
  fetch(bench, out);
}

static void same_picture_on(const char *device) {
  struct bench bench;
  open_bench(&bench, device, "tiny-eps");
  size_t bytes = tensor_bytes(&bench.pixels);
  uint8_t *whole = malloc(bytes), *tiles = malloc(bytes);
  assert_ok(model_decode(bench.tiny.model, bench.tiny.turn, &bench.decode));
  fetch(&bench, whole);
  decode_turns(&bench, 1, tiles);
  assert_memory_equal(tiles, whole, bytes);
  memset(tiles, 0, bytes);
  decode_turns(&bench, 7, tiles);
  assert_memory_equal(tiles, whole, bytes);
  free(whole);
  free(tiles);
  tiny_close(&bench.tiny);
}
static void same_picture(void **state) {
  (void)state;
  same_picture_on("ref");
}
static void same_picture_on_cpu(void **state) {
  (void)state;
  same_picture_on("cpu");
}
static void same_picture_on_cpu_in_f32(void **state) {
  (void)state;
  same_picture_on("cpu in f32");
}

/* The f32 picture in bands of a few rows: what a large picture is cut into. */
static void bands_on(const char *device, const char *model, int64_t band_bytes) {
  struct bench bench;
  open_bench(&bench, device, model);
  struct tiny *tiny = &bench.tiny;
  const struct vae *vae = &tiny->model->vae;
  struct pass pass = model_pass(tiny->model, tiny->turn, tiny->model->family.vae.precision);
  int64_t factor = model_family(tiny->model)->scale_factor;
  struct tensor scaled, whole, tiles;
  const int64_t shape[4] = {1, HEIGHT * factor, WIDTH * factor, 3};
  assert_ok(tensor_take(tiny->keep, pass.element, TENSOR_SHAPE(1, HEIGHT, WIDTH, 4), &scaled));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, 4, shape, &whole));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, 4, shape, &tiles));
  assert_ok(op_gather(tiny->device, bench.decode.row, 4, &scaled));
  assert_ok(vae_run(&pass, vae, &scaled, &whole));
  arena_drop(tiny->turn);
  struct arena *block = NULL;
  assert_ok(device_block(tiny->device, TINY_ARENA_BYTES / 4, &block));
  pass.arena = block;
  struct vae_turns turns = {.band_bytes = band_bytes, .count = 1};
  do {
    assert_ok(vae_tiles_run(&pass, vae, &scaled, &tiles, &turns));
    arena_drop(block);
  } while (++turns.first < turns.all);
  assert_true(turns.all > 60);
  print_message("%s on %s: %d turns\n", model, device, (int)turns.all);
  size_t bytes = tensor_bytes(&whole);
  float *want = malloc(bytes), *got = malloc(bytes);
  assert_ok(device_get(tiny->device, &whole, want, bytes));
  assert_ok(device_get(tiny->device, &tiles, got, bytes));
  assert_memory_equal(got, want, bytes);
  free(want);
  free(got);
  arena_close(&block);
  tiny_close(tiny);
}
static void bands(void **state) {
  (void)state;
  bands_on("ref", "tiny-eps", 1);
  bands_on("ref", "tiny-eps", 6000);
}
static void bands_on_cpu(void **state) {
  (void)state;
  bands_on("cpu", "tiny-eps", 1);
  bands_on("cpu in f32", "tiny-eps", 6000);
}

/* The second look of a device of 16 bits is what one of f32 decodes at once, in the memory that is
 * said. */
static void a_second_look_is_exact(void **state) {
  (void)state;
  struct bench bench;
  open_bench(&bench, "cpu in f32", "tiny-eps");
  size_t bytes = tensor_bytes(&bench.pixels);
  uint8_t *want = malloc(bytes), *got = malloc(bytes);
  assert_ok(model_decode(bench.tiny.model, bench.tiny.turn, &bench.decode));
  fetch(&bench, want);
  tiny_close(&bench.tiny);
  open_bench(&bench, "cpu", "tiny-eps");
  struct tiny *tiny = &bench.tiny;
  struct arena *block = NULL;
  size_t scratch = model_decode_exact_bytes(tiny->model, HEIGHT, WIDTH);
  assert_ok(device_block(tiny->device, scratch, &block));
  assert_ok(model_decode_exact(tiny->model, block, &bench.decode));
  size_t before = device_memory_used(tiny->device); /* with what ops keep */
  assert_ok(model_decode_exact(tiny->model, block, &bench.decode));
  assert_int_equal(device_memory_used(tiny->device), before); /* its weights are gone */
  assert_int_equal(arena_peak(block), scratch);
  fetch(&bench, got);
  assert_memory_equal(got, want, bytes);
  arena_close(&block);
  free(want);
  free(got);
  tiny_close(tiny);
}

/* A picture of the largest size takes less than half of what decoding it at once takes. */
static void large_pictures_take_less(void **state) {
  (void)state;
  struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-eps");
  size_t whole = model_decode_bytes(tiny.model, 256, 256);
  size_t turns = model_decode_turns_bytes(tiny.model, 256, 256);
  print_message("2048x2048: %zu MiB at once, %zu MiB in turns\n", whole >> 20, turns >> 20);
  assert_true(turns < whole / 2);
  tiny_close(&tiny);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_picture),
      cmocka_unit_test(same_picture_on_cpu),
      cmocka_unit_test(same_picture_on_cpu_in_f32),
      cmocka_unit_test(bands),
      cmocka_unit_test(bands_on_cpu),
      cmocka_unit_test(a_second_look_is_exact),
      cmocka_unit_test(large_pictures_take_less),
  };
  return cmocka_run_group_tests_name("tiles", tests, NULL, NULL);
}
