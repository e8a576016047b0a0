/* test_encode_tiles.c - latents of a picture encoded a tile a turn are those of the picture encoded
 * at once, bit for bit. */
#include "tests/unit/model/tiny.h"
#include "worker/model/model_inside.h"
#include "worker/model/vae_encode_tiles.h"

#define HEIGHT 5
#define WIDTH 7
#define VALUES (HEIGHT * WIDTH * 4)

/* A picture and noise on the device, and where latents go. */
struct bench {
  struct tiny tiny;
  struct encode encode;
};

static void put(struct tiny *tiny, const struct tensor *to, int step) {
  float *values = malloc(tensor_bytes(to));
  for (int64_t i = 0; i < tensor_count(to); i++) {
    values[i] = (float)(i * step % 1000) / 500 - 1;
  }
  assert_ok(device_put(tiny->device, values, tensor_bytes(to), to));
  free(values);
}

static void open_bench(struct bench *bench, const char *device, const char *model) {
  struct tiny *tiny = &bench->tiny;
  struct encode *encode = &bench->encode;
  tiny_open(tiny, device, model);
  int factor = model_family(tiny->model)->scale_factor;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(HEIGHT * factor, WIDTH * factor, 3),
                        &encode->image));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(HEIGHT, WIDTH, 4), &encode->noise));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(HEIGHT, WIDTH, 4), &encode->latents));
  put(tiny, &encode->image, 7919);
  put(tiny, &encode->noise, 104729);
}

static void fetch(struct bench *bench, float *out) {
  assert_ok(device_get(bench->tiny.device, &bench->encode.latents, out, VALUES * sizeof *out));
}

/* `each` turns at a time, into a block that holds nothing else. */
static void encode_turns(struct bench *bench, int64_t each, float *out) {
  struct tiny *tiny = &bench->tiny;
  struct arena *block = NULL;
  int64_t turns = model_encode_turns(tiny->model, HEIGHT, WIDTH);
  size_t bytes = model_encode_turns_bytes(tiny->model, HEIGHT, WIDTH);
  assert_true(turns > 15);
  put(tiny, &bench->encode.latents, 1); /* what stood there before does not count */
  assert_ok(device_block(tiny->device, bytes, &block));
  for (int64_t first = 0; first < turns; first += each) {
    int64_t count = first + each < turns ? each : turns - first;
    assert_ok(model_encode_turn(tiny->model, block, &bench->encode, first, count));
    assert_int_equal(arena_used(block), 0);
  }
  assert_int_equal(arena_peak(block), bytes);
  arena_close(&block);
  fetch(bench, out);
}

static void same_latents_on(const char *device, const char *model) {
  struct bench bench;
  float whole[VALUES], tiles[VALUES];
  open_bench(&bench, device, model);
  assert_ok(model_encode(bench.tiny.model, bench.tiny.turn, &bench.encode));
  fetch(&bench, whole);
  static const int64_t each[] = {1, 7, 10000};
  for (int i = 0; i < 3; i++) {
    encode_turns(&bench, each[i], tiles);
    assert_memory_equal(tiles, whole, sizeof whole);
  }
  tiny_close(&bench.tiny);
}
static void same_latents(void **state) {
  (void)state;
  same_latents_on("ref", "tiny-eps");
  same_latents_on("ref", "tiny-xl");
}
static void same_latents_on_cpu(void **state) {
  (void)state;
  same_latents_on("cpu", "tiny-eps");
  same_latents_on("cpu in f32", "tiny-eps");
}

/* Moments in bands of a few rows: what a large picture is cut into. */
static void bands_on(const char *device, const char *model, int64_t band_bytes) {
  struct bench bench;
  open_bench(&bench, device, model);
  struct tiny *tiny = &bench.tiny;
  const struct vae *vae = &tiny->model->vae;
  struct pass pass = model_pass(tiny->model, tiny->turn, tiny->model->family.vae.precision);
  int64_t factor = model_family(tiny->model)->scale_factor;
  struct tensor picture, whole, tiles;
  float want[2 * VALUES], got[2 * VALUES], *values;
  assert_ok(tensor_take(tiny->keep, pass.element,
                        TENSOR_SHAPE(1, HEIGHT * factor, WIDTH * factor, 3), &picture));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(1, HEIGHT, WIDTH, 8), &whole));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(1, HEIGHT, WIDTH, 8), &tiles));
  values = calloc((size_t)tensor_count(&picture), sizeof *values);
  for (int64_t i = 0; i < tensor_count(&picture); i++) {
    values[i] = (float)(i * 7919 % 1000) / 500 - 1;
  }
  tiny_put(tiny, values, &picture);
  free(values);
  assert_ok(vae_encode(&pass, vae, &picture, &whole));
  arena_drop(tiny->turn);
  struct arena *block = NULL;
  assert_ok(device_block(tiny->device, TINY_ARENA_BYTES / 4, &block));
  pass.arena = block;
  struct vae_turns turns = {.band_bytes = band_bytes, .count = 1};
  do {
    assert_ok(vae_encode_tiles_run(&pass, vae, &picture, &tiles, &turns));
    arena_drop(block);
  } while (++turns.first < turns.all);
  assert_true(turns.all > 40);
  print_message("%s on %s: %d turns\n", model, device, (int)turns.all);
  assert_ok(device_get(tiny->device, &whole, want, sizeof want));
  assert_ok(device_get(tiny->device, &tiles, got, sizeof got));
  assert_memory_equal(got, want, sizeof want);
  arena_close(&block);
  tiny_close(tiny);
}
static void bands(void **state) {
  (void)state;
  bands_on("ref", "tiny-eps", 1);
  bands_on("ref", "tiny-eps", 6000);
  bands_on("ref", "tiny-xl", 1);
}
static void bands_on_cpu(void **state) {
  (void)state;
  bands_on("cpu", "tiny-eps", 1);
  bands_on("cpu in f32", "tiny-eps", 6000);
}

static void large_pictures_take_less(void **state) {
  (void)state;
  struct tiny tiny;
  tiny_open(&tiny, "ref", "tiny-eps");
  size_t whole = model_encode_bytes(tiny.model, 256, 256);
  size_t turns = model_encode_turns_bytes(tiny.model, 256, 256);
  print_message("2048x2048: %zu MiB at once, %zu MiB in turns\n", whole >> 20, turns >> 20);
  assert_true(turns < whole * 3 / 4);
  tiny_close(&tiny);
}

/* Levels whose maps would not lie where they were made of. */
static void which_autoencoders_can(void **state) {
  (void)state;
  static const struct {
    struct vae_facts facts;
    bool can;
  } rows[] = {
      {{.levels = 4, .channels = {128, 256, 512, 512}}, true},
      {{.levels = 1, .channels = {128}}, true},
      {{.levels = 3, .channels = {128, 512, 512}}, true},
      {{.levels = 3, .channels = {128, 513, 513}}, false},
      {{.levels = 2, .channels = {128, 1024}}, true}, /* the last one halves nothing */
      {{.levels = 2, .channels = {256, 128}}, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(vae_encode_tiles_can(&rows[i].facts), rows[i].can);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_latents),
      cmocka_unit_test(same_latents_on_cpu),
      cmocka_unit_test(bands),
      cmocka_unit_test(bands_on_cpu),
      cmocka_unit_test(large_pictures_take_less),
      cmocka_unit_test(which_autoencoders_can),
  };
  return cmocka_run_group_tests_name("encode tiles", tests, NULL, NULL);
}
