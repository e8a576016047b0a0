/* test_preview.c - colours from latents are nearly those that the model's own decoder gives. */
#include "worker/model/preview.h"

#include <math.h>

#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"

#define SIDE 16
#define CHANNELS 4
#define CELLS (SIDE * SIDE)

/* Latents that change slowly over the picture, as those of pictures do. */
static void fill(float *latents) {
  for (int i = 0; i < CELLS; i++) {
    int row = i / SIDE, column = i % SIDE;
    double y = (double)row / SIDE, x = (double)column / SIDE;
    for (int c = 0; c < CHANNELS; c++) {
      latents[i * CHANNELS + c] = (float)sin(3 * y * (c + 1) + 2 * x * (CHANNELS - c) + c);
    }
  }
}

/* The decoder's picture, averaged to a pixel a cell. */
static void decode(struct tiny *tiny, const float *values, double *colours) {
  struct tensor latents, pixels;
  struct decode to;
  int factor = model_family(tiny->model)->scale_factor;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(SIDE, SIDE, CHANNELS), &latents));
  assert_ok(
      tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(SIDE * factor, SIDE * factor, 3), &pixels));
  assert_ok(device_put(tiny->device, values, tensor_bytes(&latents), &latents));
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &latents, &pixels, &to));
  assert_ok(model_decode(tiny->model, tiny->turn, &to));
  uint8_t *bytes = malloc(tensor_bytes(&pixels));
  assert_ok(device_get(tiny->device, &pixels, bytes, tensor_bytes(&pixels)));
  memset(colours, 0, CELLS * 3 * sizeof *colours);
  for (int i = 0; i < SIDE * factor * SIDE * factor; i++) {
    int cell = i / (SIDE * factor) / factor * SIDE + i % (SIDE * factor) / factor;
    for (int c = 0; c < 3; c++) {
      colours[cell * 3 + c] += bytes[i * 3 + c] / (double)(factor * factor);
    }
  }
  free(bytes);
}

/* Root of the mean square difference, of 255. */
static double off_by(const uint8_t *got, const double *want) {
  double sum = 0;
  for (int i = 0; i < CELLS * 3; i++) {
    sum += (got[i] - want[i]) * (got[i] - want[i]);
  }
  return sqrt(sum / (CELLS * 3));
}

static void colours_of_the_demo_model(void **state) {
  (void)state;
  struct tiny tiny;
  struct preview preview;
  float latents[CELLS * CHANNELS];
  double want[CELLS * 3];
  uint8_t got[CELLS * 3], grey[CELLS * 3];
  tiny_open_folder(&tiny, "cpu", "models/demo");
  fill(latents);
  decode(&tiny, latents, want);
  arena_drop(tiny.turn);
  assert_ok(model_preview(tiny.model, tiny.turn, &preview));
  assert_int_equal(arena_used(tiny.turn), 0);
  assert_in_range(model_preview_bytes(tiny.model), 1 << 20, TINY_ARENA_BYTES);
  preview_pixels(&preview, latents, CELLS, got);
  memset(grey, 128, sizeof grey);
  print_message("off by %.1f of 255, grey by %.1f\n", off_by(got, want), off_by(grey, want));
  assert_true(off_by(got, want) < 25);
  assert_true(off_by(got, want) < off_by(grey, want) / 2);
  tiny_close(&tiny);
}

/* The same factors every time: a job that is drawn again shows the same previews. */
static void fits_are_alike(void **state) {
  (void)state;
  struct tiny tiny;
  struct preview one, two;
  tiny_open(&tiny, "ref", "tiny-eps");
  assert_ok(model_preview(tiny.model, tiny.turn, &one));
  assert_ok(model_preview(tiny.model, tiny.turn, &two));
  assert_memory_equal(&one, &two, sizeof one);
  tiny_close(&tiny);
}

static void bytes_are_bounded(void **state) {
  (void)state;
  const struct preview preview = {.channels = 1, .factor = {{1, 0}, {-1, 1}, {0, 0}}};
  const float latents[] = {-1, 1, 100, NAN};
  uint8_t pixels[12];
  preview_pixels(&preview, latents, 4, pixels);
  const uint8_t want[] = {0, 255, 128, 255, 128, 128, 255, 0, 128, 0, 0, 128};
  assert_memory_equal(pixels, want, 9);
  assert_int_equal(pixels[9], 0);
  assert_int_equal(pixels[10], 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(colours_of_the_demo_model),
      cmocka_unit_test(fits_are_alike),
      cmocka_unit_test(bytes_are_bounded),
  };
  return cmocka_run_group_tests_name("preview", tests, NULL, NULL);
}
