/* test_families.c - every family's text encoders, in each mode of prompts, and one U-Net call
 * against diffusers (tests/model/goldens: families, conditions). */
#include "tests/cases/device_rows.h"
#include "tests/unit/model/goldens.h"
#include "tests/unit/model/tiny.h"

#include <math.h>

#define PROMPT "a red house by the lake at night"
#define NEGATIVE "snow and rain"
/* More tokens than a chunk has; and one in pieces of their own weights. */
#define THREE PROMPT ", " PROMPT ", " PROMPT
#define LONG THREE ", " THREE ", " THREE
#define WEIGHTED "a (red:1.4) house [by] the lake"
#define GUIDANCE 8.0f /* the consistency model was told 7 = 8 - 1 */

struct fixture {
  struct tiny tiny;
  struct goldens goldens;
  const char *model;
  double tolerance; /* relative to the largest value */
};

static int open_with(void **state, const char *device, const char *model, double tolerance,
                     const char *file) {
  struct fixture *fixture = calloc(1, sizeof *fixture);
  tiny_open(&fixture->tiny, device, model);
  goldens_open_file(&fixture->goldens, file);
  fixture->model = model;
  fixture->tolerance = tolerance;
  *state = fixture;
  return 0;
}
static int open_on(void **state, const char *device, const char *model, double tolerance) {
  return open_with(state, device, model, tolerance, "families.safetensors");
}
#define OPEN(name, model)                                                                          \
  static int open_##name##_ref(void **state) { return open_on(state, "ref", model, 1e-4); }        \
  static int open_##name##_f32(void **state) { return open_on(state, "cpu in f32", model, 1e-4); } \
  static int open_##name##_cpu(void **state) { return open_on(state, "cpu", model, 6e-2); }
OPEN(sd2, "tiny-sd2")
OPEN(inpaint, "tiny-inpaint")
OPEN(lcm, "tiny-lcm")
OPEN(xl, "tiny-xl")
OPEN(refiner, "tiny-refiner")
static int open_eps(void **state) { return open_on(state, "ref", "tiny-eps", 1e-4); }

static int open_conditions_eps(void **state) {
  return open_with(state, "ref", "tiny-eps", 1e-4, "conditions.safetensors");
}
static int open_conditions_sd2(void **state) {
  return open_with(state, "cpu in f32", "tiny-sd2", 1e-4, "conditions.safetensors");
}
static int open_conditions_xl(void **state) {
  return open_with(state, "ref", "tiny-xl", 1e-4, "conditions.safetensors");
}
static int open_lcm_xl(void **state) {
  return open_with(state, "cpu in f32", "tiny-lcm-xl", 1e-4, "conditions.safetensors");
}

static int close_fixture(void **state) {
  struct fixture *fixture = *state;
  goldens_close(&fixture->goldens);
  tiny_close(&fixture->tiny);
  free(fixture);
  return 0;
}

/* The device's values as f32; the caller frees them. */
static float *values_of(const struct fixture *fixture, const struct tensor *tensor) {
  size_t count = (size_t)tensor_count(tensor);
  void *held = malloc(tensor_bytes(tensor));
  float *values = malloc(count * sizeof *values);
  assert_ok(device_get(fixture->tiny.device, tensor, held, tensor_bytes(tensor)));
  elements_to_f32(tensor->element, held, (int64_t)count, values);
  free(held);
  return values;
}

static void assert_golden(const struct fixture *fixture, const char *name, const float *values,
                          const int64_t *nhwc) {
  double difference = tiny_difference(values, golden(&fixture->goldens, name), nhwc);
  print_message("%s on %s: %.2e relative\n", name, device_name(fixture->tiny.device), difference);
  assert_true(difference < fixture->tolerance);
}

/* As many numbers as the family asks for: those of make_family_goldens.py. */
static struct condition condition_of(const struct fixture *fixture, const char *prompt,
                                     bool negative) {
  const struct family_row *row = model_family(fixture->tiny.model)->row;
  struct condition condition = {.prompt = prompt,
                                .negative = negative,
                                .size_count = row->sizes,
                                .sizes = {64, 48, 8, 4, 64, 64},
                                .guidance = GUIDANCE};
  if (row->scored) {
    condition.sizes[4] = negative ? 2.5f : 6;
    condition.sizes[5] = 0;
  }
  return condition;
}

static struct conditioning make(struct fixture *fixture, const struct condition *condition) {
  struct tiny *tiny = &fixture->tiny;
  struct conditioning conditioning;
  struct condition_report report;
  int chunks = 0;
  size_t before = arena_used(tiny->keep);
  assert_ok(
      model_condition(tiny->model, tiny->keep, tiny->turn, condition, &conditioning, &report));
  assert_ok(model_condition_chunks(tiny->model, condition, &chunks));
  assert_int_equal(chunks, report.chunks);
  assert_int_equal(arena_used(tiny->turn), 0);
  assert_int_equal(arena_used(tiny->keep) - before, model_condition_bytes(tiny->model, chunks));
  assert_true(arena_peak(tiny->turn) <= model_condition_scratch_bytes(tiny->model));
  return conditioning;
}

static void assert_text(struct fixture *fixture, const char *which,
                        const struct conditioning *conditioning) {
  char name[64];
  snprintf(name, sizeof name, "%s.embedding.%s", fixture->model, which);
  float *values = values_of(fixture, &conditioning->embedding);
  assert_golden(fixture, name, values,
                (int64_t[]){1, 1, tensor_count(&conditioning->embedding), 1});
  free(values);
  if (conditioning->told.rank == 0) {
    return;
  }
  const struct family *family = model_family(fixture->tiny.model);
  int64_t pooled = family->clip[family->row->text_encoders - 1].projection;
  snprintf(name, sizeof name, "%s.pooled.%s", fixture->model, which);
  values = values_of(fixture, &conditioning->told);
  assert_golden(fixture, name, values, (int64_t[]){1, 1, pooled, 1});
  free(values);
}

static void text_encoders(void **state) {
  struct fixture *fixture = *state;
  struct condition prompt = condition_of(fixture, PROMPT, false);
  struct condition negative = condition_of(fixture, NEGATIVE, true);
  struct conditioning made = make(fixture, &prompt);
  assert_int_equal(arena_peak(fixture->tiny.turn),
                   model_condition_scratch_bytes(fixture->tiny.model));
  assert_text(fixture, "prompt", &made);
  made = make(fixture, &negative);
  assert_text(fixture, "negative", &made);
}

static void unet_call(void **state) {
  struct fixture *fixture = *state;
  struct tiny *tiny = &fixture->tiny;
  struct condition prompt = condition_of(fixture, PROMPT, false);
  struct condition negative = condition_of(fixture, NEGATIVE, true);
  struct conditioning made[2] = {make(fixture, &negative), make(fixture, &prompt)};
  const struct conditioning *rows[] = {&made[0], &made[1]};
  const int64_t channels = model_family(tiny->model)->unet.in_channels;
  struct predict predict = {0};
  assert_ok(
      device_prompt_rows(tiny->device, tiny->keep, (float[]){981, 40}, rows, 2, &predict.rows));
  assert_ok(tensor_take(tiny->keep, device_element(tiny->device), TENSOR_SHAPE(2, 8, 8, channels),
                        &predict.input));
  assert_ok(tensor_take(tiny->keep, ELEMENT_F32, TENSOR_SHAPE(2, 8, 8, 4), &predict.prediction));
  char name[64];
  snprintf(name, sizeof name, "%s.unet.input", fixture->model);
  tiny_put(tiny, golden(&fixture->goldens, name), &predict.input);
  assert_ok(model_predict(tiny->model, tiny->turn, &predict));
  size_t condition = model_condition_scratch_bytes(tiny->model);
  size_t call = model_predict_bytes(tiny->model, 2, 8, 8);
  assert_int_equal(arena_peak(tiny->turn), call > condition ? call : condition);
  snprintf(name, sizeof name, "%s.unet.output", fixture->model);
  float *values = values_of(fixture, &predict.prediction);
  assert_golden(fixture, name, values, predict.prediction.shape);
  free(values);
}

/* ---- modes of prompts ---- */

static void assert_mode(struct fixture *fixture, enum prompt_mode mode, const char *prompt,
                        const char *name) {
  struct condition condition = condition_of(fixture, prompt, false);
  char whole[64];
  condition.mode = mode;
  struct conditioning made = make(fixture, &condition);
  snprintf(whole, sizeof whole, "%s.%s", fixture->model, name);
  float *values = values_of(fixture, &made.embedding);
  assert_golden(fixture, whole, values, (int64_t[]){1, 1, tensor_count(&made.embedding), 1});
  free(values);
}

static void long_prompts(void **state) {
  struct fixture *fixture = *state;
  struct condition_report report;
  struct conditioning unused;
  assert_mode(fixture, PROMPT_MODE_LONG, LONG, "long");
  struct condition plain = condition_of(fixture, LONG, false);
  assert_ok(model_condition(fixture->tiny.model, fixture->tiny.keep, fixture->tiny.turn, &plain,
                            &unused, &report));
  assert_int_equal(report.chunks, 1);
  assert_int_equal(report.tokens, 80);
  assert_int_equal(report.cut, 5);
}

static void weighted_prompts(void **state) {
  assert_mode(*state, PROMPT_MODE_WEIGHTED, WEIGHTED, "weighted");
}

/* Weights of 1 are none, bit for bit. */
static void prompts_without_weights(void **state) {
  struct fixture *fixture = *state;
  struct condition condition = condition_of(fixture, PROMPT, false);
  struct conditioning made[3];
  for (int mode = PROMPT_MODE_PLAIN; mode <= PROMPT_MODE_WEIGHTED; mode++) {
    condition.mode = (enum prompt_mode)mode;
    made[mode] = make(fixture, &condition);
  }
  float *want = values_of(fixture, &made[0].keys_values);
  for (int mode = 1; mode < 3; mode++) {
    float *got = values_of(fixture, &made[mode].keys_values);
    assert_memory_equal(got, want, (size_t)tensor_count(&made[0].keys_values) * sizeof *got);
    free(got);
  }
  free(want);
}

/* ---- what a condition says beside the prompt ---- */

static void assert_skipped(struct fixture *fixture, const char *name) {
  struct condition condition = condition_of(fixture, PROMPT, false);
  condition.clip_skip = 1;
  struct conditioning made = make(fixture, &condition);
  float *values = values_of(fixture, &made.embedding);
  assert_golden(fixture, name, values, (int64_t[]){1, 1, tensor_count(&made.embedding), 1});
  free(values);
}

static void layers_are_skipped(void **state) {
  struct fixture *fixture = *state;
  char name[64];
  snprintf(name, sizeof name, "clip_skip.%s", fixture->model);
  assert_skipped(fixture, name);
  struct condition condition = condition_of(fixture, PROMPT, false);
  struct conditioning unused;
  condition.clip_skip = 100;
  assert_refused(model_condition(fixture->tiny.model, fixture->tiny.keep, fixture->tiny.turn,
                                 &condition, &unused, NULL),
                 "clip_skip 100");
  assert_string_equal(fail_field_name(), "clip_skip");
}

static void nothing_is_skipped_of_what_is_not_wanted(void **state) {
  struct fixture *fixture = *state;
  struct condition condition = condition_of(fixture, NEGATIVE, true);
  condition.clip_skip = 1;
  struct conditioning made = make(fixture, &condition);
  assert_text(fixture, "negative", &made);
}

static bool all_zero(const struct fixture *fixture, const struct tensor *tensor, int64_t count) {
  float *values = values_of(fixture, tensor);
  bool zero = true;
  for (int64_t i = 0; i < count; i++) {
    zero = zero && values[i] == 0;
  }
  free(values);
  return zero;
}

/* XL's base has zeros for a negative prompt of which nothing was said; its refiner, and SD 1 and 2,
 * encode an empty one. So does XL where that was said. */
static void no_negative_prompt(void **state) {
  struct fixture *fixture = *state;
  const struct family *family = model_family(fixture->tiny.model);
  bool zeros = strcmp(family->row->name, "sdxl") == 0;
  struct condition silent = condition_of(fixture, "", true), empty = silent;
  silent.silent = true;
  struct conditioning made = make(fixture, &silent);
  assert_int_equal(family->zeros_when_silent, zeros);
  assert_int_equal(all_zero(fixture, &made.embedding, tensor_count(&made.embedding)), zeros);
  assert_int_equal(all_zero(fixture, &made.keys_values, tensor_count(&made.keys_values)), zeros);
  if (made.told.rank > 0) {
    int64_t pooled = family->clip[family->row->text_encoders - 1].projection;
    assert_int_equal(all_zero(fixture, &made.told, pooled), zeros);
    assert_false(all_zero(fixture, &made.told, tensor_count(&made.told))); /* the sizes stay */
  }
  made = make(fixture, &empty);
  assert_false(all_zero(fixture, &made.embedding, tensor_count(&made.embedding)));
}

static void numbers_must_be_as_many_as_the_family_is_told(void **state) {
  struct fixture *fixture = *state;
  struct condition condition = condition_of(fixture, PROMPT, false);
  struct conditioning unused;
  condition.size_count++;
  assert_refused(model_condition(fixture->tiny.model, fixture->tiny.keep, fixture->tiny.turn,
                                 &condition, &unused, NULL),
                 "numbers");
  assert_string_equal(fail_field_name(), "sizes");
}

int main(void) {
#define ON(test, name, device) \
  cmocka_unit_test_setup_teardown(test, open_##name##_##device, close_fixture)
#define EVERYWHERE(name)                                                                    \
  ON(text_encoders, name, ref), ON(text_encoders, name, f32), ON(text_encoders, name, cpu), \
      ON(unet_call, name, ref), ON(unet_call, name, f32), ON(unet_call, name, cpu)
  const struct CMUnitTest tests[] = {
      EVERYWHERE(sd2),
      EVERYWHERE(inpaint),
      EVERYWHERE(lcm),
      EVERYWHERE(xl),
      EVERYWHERE(refiner),
      cmocka_unit_test_setup_teardown(layers_are_skipped, open_eps, close_fixture),
      cmocka_unit_test_setup_teardown(unet_call, open_lcm_xl, close_fixture),
      cmocka_unit_test_setup_teardown(long_prompts, open_conditions_eps, close_fixture),
      cmocka_unit_test_setup_teardown(long_prompts, open_conditions_sd2, close_fixture),
      cmocka_unit_test_setup_teardown(long_prompts, open_conditions_xl, close_fixture),
      cmocka_unit_test_setup_teardown(weighted_prompts, open_conditions_eps, close_fixture),
      cmocka_unit_test_setup_teardown(weighted_prompts, open_conditions_sd2, close_fixture),
      cmocka_unit_test_setup_teardown(weighted_prompts, open_conditions_xl, close_fixture),
      ON(prompts_without_weights, xl, ref),
      ON(layers_are_skipped, xl, ref),
      ON(nothing_is_skipped_of_what_is_not_wanted, xl, ref),
      ON(no_negative_prompt, xl, ref),
      ON(no_negative_prompt, refiner, ref),
      ON(no_negative_prompt, sd2, ref),
      ON(numbers_must_be_as_many_as_the_family_is_told, xl, ref),
      ON(numbers_must_be_as_many_as_the_family_is_told, sd2, ref),
  };
  return cmocka_run_group_tests_name("families", tests, NULL, NULL);
}
