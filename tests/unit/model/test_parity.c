/* test_parity.c - text embeddings, one U-Net call and a decoded picture against diffusers
 * (tests/model/goldens). */
#include "tests/cases/device_rows.h"
#include "tests/unit/model/tiny.h"

#include <math.h>

#define PROMPT "a red house by the lake at night"
#define NEGATIVE "snow and rain"

struct fixture {
  struct tiny tiny;
  struct goldens goldens;
  double tolerance; /* of latents and embeddings, relative to the largest value */
  int pixel_slack;  /* how far a pixel may be off */
};

static int open_on(void **state, const char *device, double tolerance, int pixel_slack) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  tiny_open(&fixture->tiny, device, "tiny-eps");
  goldens_open(&fixture->goldens);
  fixture->tolerance = tolerance;
  fixture->pixel_slack = pixel_slack;
  *state = fixture;
  return 0;
}
static int open_ref(void **state) { return open_on(state, "ref", 1e-3, 1); }
static int open_f32(void **state) { return open_on(state, "cpu in f32", 1e-3, 1); }
/* bf16 has 8 bits: what it costs in the pictures is measured elsewhere, here it must only be the
 * same picture. */
static int open_cpu(void **state) { return open_on(state, "cpu", 4e-2, 8); }

static int close_fixture(void **state) {
  struct fixture *fixture = *state;
  goldens_close(&fixture->goldens);
  tiny_close(&fixture->tiny);
  free(fixture);
  return 0;
}

static void assert_close(const struct fixture *fixture, const char *name,
                         const struct tensor *tensor) {
  int64_t nhwc[4] = {1, 1, 1, 1};
  for (int i = 0; i < tensor->rank; i++) {
    nhwc[4 - tensor->rank + i] = tensor->shape[i];
  }
  size_t count = (size_t)tensor_count(tensor);
  float *values = malloc(count * sizeof *values);
  uint16_t *halves = malloc(count * sizeof *halves);
  if (tensor->element == ELEMENT_F32) {
    assert_ok(device_get(fixture->tiny.device, tensor, values, count * sizeof *values));
  } else {
    assert_ok(device_get(fixture->tiny.device, tensor, halves, count * sizeof *halves));
    for (size_t i = 0; i < count; i++) {
      values[i] = bf16_to_f32(halves[i]);
    }
  }
  double difference = tiny_difference(values, golden(&fixture->goldens, name), nhwc);
  print_message("%s on %s: %.2e relative\n", name, device_name(fixture->tiny.device), difference);
  assert_true(difference < fixture->tolerance);
  free(values);
  free(halves);
}

static void text_embeddings(void **state) {
  struct fixture *fixture = *state;
  struct tiny *tiny = &fixture->tiny;
  struct conditioning prompt, negative;
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = PROMPT}, &prompt, NULL));
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = NEGATIVE}, &negative, NULL));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_int_equal(arena_used(tiny->keep), 2 * model_condition_bytes(tiny->model, 1));
  /* embeddings lie alike on both sides: one row of tokens * channels */
  prompt.embedding =
      tensor_view(&prompt.embedding, TENSOR_SHAPE(tensor_count(&prompt.embedding), 1));
  negative.embedding =
      tensor_view(&negative.embedding, TENSOR_SHAPE(tensor_count(&negative.embedding), 1));
  assert_close(fixture, "embedding.prompt", &prompt.embedding);
  assert_close(fixture, "embedding.negative", &negative.embedding);
}

static void predict_golden(struct fixture *fixture, const char *name, const int64_t *shape,
                           const float *timesteps) {
  struct tiny *tiny = &fixture->tiny;
  struct conditioning prompt, negative;
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = PROMPT}, &prompt, NULL));
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = NEGATIVE}, &negative, NULL));
  const struct conditioning *conditionings[] = {&prompt, &negative};
  struct predict predict = {0};
  assert_ok(device_prompt_rows(tiny->device, tiny->keep, timesteps, conditionings, (int)shape[0],
                               &predict.rows));
  assert_ok(tensor_take(tiny->keep, device_element(tiny->device), 4, shape, &predict.input));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, 4, shape, &predict.prediction));
  char part[64];
  snprintf(part, sizeof part, "%s.input", name);
  tiny_put(tiny, golden(&fixture->goldens, part), &predict.input);
  assert_ok(model_predict(tiny->model, tiny->turn, &predict));
  assert_int_equal(arena_peak(tiny->turn),
                   model_predict_bytes(tiny->model, (int)shape[0], (int)shape[1], (int)shape[2]));
  snprintf(part, sizeof part, "%s.output", name);
  assert_close(fixture, part, &predict.prediction);
}

static void unet_call(void **state) {
  predict_golden(*state, "unet", (int64_t[]){2, 8, 8, 4}, (float[]){981, 40});
}

static void unet_call_of_odd_size(void **state) {
  predict_golden(*state, "unet_odd", (int64_t[]){1, 5, 7, 4}, (float[]){500.5f});
}

static void assert_pixels(const struct fixture *fixture, const struct tensor *pixels,
                          const uint8_t *want) {
  size_t count = (size_t)tensor_count(pixels), off = 0;
  uint8_t *got = malloc(count);
  assert_ok(device_get(fixture->tiny.device, pixels, got, count));
  int worst = 0;
  for (size_t i = 0; i < count; i++) {
    int difference = abs(got[i] - want[i]);
    worst = difference > worst ? difference : worst;
    off += difference > fixture->pixel_slack;
  }
  print_message("pixels on %s: %zu of %zu off by more than %d, worst %d\n",
                device_name(fixture->tiny.device), off, count, fixture->pixel_slack, worst);
  assert_true(off * 1000 <= count);
  free(got);
}

static void decoded_picture(void **state) {
  struct fixture *fixture = *state;
  struct tiny *tiny = &fixture->tiny;
  struct tensor latents, pixels;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(1, 8, 8, 4), &latents));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(64, 64, 3), &pixels));
  tiny_put(tiny, golden(&fixture->goldens, "decode.latents"), &latents);
  latents = tensor_view(&latents, TENSOR_SHAPE(8, 8, 4));
  struct decode decode;
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &latents, &pixels, &decode));
  assert_ok(model_decode(tiny->model, tiny->turn, &decode));
  assert_int_equal(arena_peak(tiny->turn), model_decode_bytes(tiny->model, 8, 8));
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_pixels(fixture, &pixels, golden(&fixture->goldens, "decode.pixels"));
}

static void picture_that_is_not_finite(void **state) {
  struct fixture *fixture = *state;
  struct tiny *tiny = &fixture->tiny;
  float values[8 * 8 * 4] = {0};
  values[17] = NAN;
  struct tensor latents, pixels;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(8, 8, 4), &latents));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(64, 64, 3), &pixels));
  assert_ok(device_put(tiny->device, values, sizeof values, &latents));
  struct decode decode;
  int32_t finite = 7;
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &latents, &pixels, &decode));
  assert_ok(model_decode(tiny->model, tiny->turn, &decode));
  assert_ok(device_get(tiny->device, &decode.finite, &finite, sizeof finite));
  assert_int_equal(finite, 0);
  assert_int_equal(arena_used(tiny->turn), 0);
}

int main(void) {
#define ON(test, device) cmocka_unit_test_setup_teardown(test, open_##device, close_fixture)
  const struct CMUnitTest tests[] = {
      ON(text_embeddings, ref),
      ON(text_embeddings, f32),
      ON(text_embeddings, cpu),
      ON(unet_call, ref),
      ON(unet_call, f32),
      ON(unet_call, cpu),
      ON(unet_call_of_odd_size, ref),
      ON(unet_call_of_odd_size, f32),
      ON(unet_call_of_odd_size, cpu),
      ON(decoded_picture, ref),
      ON(decoded_picture, f32),
      ON(decoded_picture, cpu),
      ON(picture_that_is_not_finite, ref),
      ON(picture_that_is_not_finite, cpu),
  };
  return cmocka_run_group_tests_name("parity", tests, NULL, NULL);
}
