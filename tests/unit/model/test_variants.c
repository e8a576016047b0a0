/* test_variants.c - models of other shapes than the tiny one against diffusers: levels, layers,
 * heads, projections. */
#include "tests/cases/device_rows.h"
#include "tests/unit/model/hashed_weights.h"
#include "tests/unit/model/tiny.h"

#define PROMPT "a red house by the lake at night"
#define NEGATIVE "snow and rain"

static const char *scratch(void) {
  static char path[64];
  snprintf(path, sizeof path, "/tmp/darkroom-variants-%d", getpid());
  return path;
}

/* tiny-eps with the variant's configs; its weights come from hashed_weights.h. */
static void write_folder(const char *variant) {
  static const char *const networks[] = {"text_encoder", "unet", "vae"};
  char command[512], path[256];
  json_t *goldens = NULL;
  snprintf(command, sizeof command, "rm -rf %s && cp -r %s %s", scratch(), tiny_folder("tiny-eps"),
           scratch());
  tiny_shell(command);
  assert_ok(config_json_file(TINY_GOLDENS, "goldens.json", CONFIG_BYTES_MAX, &goldens));
  const json_t *configs = json_object_get(json_object_get(goldens, "variants"), variant);
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
    snprintf(path, sizeof path, "%s/%s/config.json", scratch(), networks[i]);
    assert_int_equal(json_dump_file(json_object_get(configs, networks[i]), path, 0), 0);
  }
  json_decref(goldens);
}

struct bench {
  struct tiny tiny;
  struct goldens goldens;
  const char *variant;
};

static const void *golden_of(const struct bench *bench, const char *name) {
  char whole[96];
  snprintf(whole, sizeof whole, "%s.%s", bench->variant, name);
  return golden(&bench->goldens, whole);
}

static void assert_close(const struct bench *bench, const char *name, const struct tensor *got,
                         const int64_t *nhwc) {
  float *values = malloc(tensor_bytes(got));
  assert_ok(device_get(bench->tiny.device, got, values, tensor_bytes(got)));
  double difference = tiny_difference(values, golden_of(bench, name), nhwc);
  print_message("%s.%s: %.2e relative\n", bench->variant, name, difference);
  assert_true(difference < 1e-3);
  free(values);
}

static void check_unet(struct bench *bench) {
  struct tiny *tiny = &bench->tiny;
  struct conditioning prompt, negative;
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = PROMPT}, &prompt, NULL));
  assert_ok(model_condition(tiny->model, tiny->keep, tiny->turn,
                            &(struct condition){.prompt = NEGATIVE}, &negative, NULL));
  assert_close(bench, "embedding", &prompt.embedding,
               (int64_t[]){1, 1, tensor_count(&prompt.embedding), 1});
  const struct conditioning *conditionings[] = {&prompt, &negative};
  struct predict predict = {0};
  assert_ok(device_prompt_rows(tiny->device, tiny->keep, (float[]){981, 40}, conditionings, 2,
                               &predict.rows));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(2, 10, 9, 4), &predict.input));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(2, 10, 9, 4), &predict.prediction));
  tiny_put(tiny, golden_of(bench, "unet.input"), &predict.input);
  assert_ok(model_predict(tiny->model, tiny->turn, &predict));
  assert_int_equal(arena_peak(tiny->turn), model_predict_bytes(tiny->model, 2, 10, 9));
  assert_close(bench, "unet.output", &predict.prediction, predict.prediction.shape);
}

static void check_decode(struct bench *bench) {
  struct tiny *tiny = &bench->tiny;
  int factor = model_family(tiny->model)->scale_factor;
  struct tensor latents, pixels;
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(1, 5, 6, 4), &latents));
  assert_ok(tensor_take(tiny->keep, ELEMENT_U8, TENSOR_SHAPE(5 * factor, 6 * factor, 3), &pixels));
  tiny_put(tiny, golden_of(bench, "decode.latents"), &latents);
  latents = tensor_view(&latents, TENSOR_SHAPE(5, 6, 4));
  struct decode decode;
  assert_ok(device_decode(tiny->device, tiny->keep, tiny->model, &latents, &pixels, &decode));
  assert_ok(model_decode(tiny->model, tiny->turn, &decode));
  uint8_t *values = malloc(tensor_bytes(&pixels));
  const uint8_t *want = golden_of(bench, "decode.pixels");
  assert_ok(device_get(tiny->device, &pixels, values, tensor_bytes(&pixels)));
  for (int64_t i = 0; i < tensor_count(&pixels); i++) {
    assert_in_range(values[i] - want[i] + 1, 0, 2);
  }
  free(values);
}

static void check_variant(const char *variant) {
  struct bench bench = {.variant = variant};
  write_folder(variant);
  goldens_open(&bench.goldens);
  tiny_open_folder(&bench.tiny, "ref", scratch());
  check_unet(&bench);
  check_decode(&bench);
  tiny_close(&bench.tiny);
  goldens_close(&bench.goldens);
}

static void four_levels(void **state) {
  (void)state;
  check_variant("four-levels");
}
static void linear(void **state) {
  (void)state;
  check_variant("linear");
}

static int remove_scratch(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", scratch());
  tiny_shell(command);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(four_levels), cmocka_unit_test(linear)};
  return cmocka_run_group_tests_name("variants", tests, NULL, remove_scratch);
}
