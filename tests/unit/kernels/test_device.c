/* test_device.c - opening by name, memory limits and counts, shapes and the small float formats. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "kernels/ops.h"
#include "kernels/queue.h"

static void test_names(void **state) {
  (void)state;
  struct device *device = NULL;
  assert_int_equal(device_open("tpu", NULL, &device), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "ref, cpu, cuda:N"));
  assert_int_equal(device_open("cuda:x", NULL, &device), BAD_INPUT);
  assert_int_equal(device_open("cuda:99", NULL, &device), BAD_INPUT);
  assert_int_equal(device_open("cuda:GPU-1/../x", NULL, &device), BAD_INPUT);
  assert_int_equal(device_open("cpu:0", NULL, &device), BAD_INPUT);
  assert_int_equal(device_open("", NULL, &device), BAD_INPUT);
  assert_int_equal(device_open("a-name-far-too-long-for-any-device", NULL, &device), BAD_INPUT);
  assert_null(device);
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    assert_string_equal(device_name(device), names[i]);
    assert_true(device_threads(device) >= 1);
    device_close(&device);
    assert_null(device);
  }
}

static void test_f32_can_be_forced(void **state) {
  (void)state;
  struct device *device = NULL;
  assert_int_equal(
      device_open("cpu", &(struct device_settings){.force_f32 = true, .threads = 1}, &device), OK);
  assert_int_equal(device_element(device), ELEMENT_F32);
  assert_int_equal(device_threads(device), 1);
  device_close(&device);
}

static void pack_and_close(struct device *device) {
  static const float values[64 * 32];
  const struct weight_source source = {
      .kernel = {(void *)(uintptr_t)values, ELEMENT_F32, 2, {64, 32, 1, 1}},
      .element = device_element(device)};
  struct weight *weight = NULL;
  assert_int_equal(weight_pack(device, &source, &weight), OK);
  assert_int_equal(weight_outputs(weight), 64);
  assert_int_equal(weight_inputs(weight), 32);
  assert_true(device_memory_used(device) >= 64 * 32 * element_bytes(device_element(device)));
  weight_close(&weight);
  assert_null(weight);
}

static void test_memory_is_counted_and_limited(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    struct arena *arena = NULL;
    struct tensor tensor;
    assert_int_equal(
        device_open(names[i], &(struct device_settings){.memory_max = 1 << 20}, &device), OK);
    assert_int_equal(device_arena(device, 1 << 30, &arena), OK);
    assert_int_equal(tensor_take(arena, ELEMENT_F32, TENSOR_SHAPE(1000), &tensor), OK);
    assert_true(device_memory_used(device) >= 4000);
    assert_int_equal(tensor_take(arena, ELEMENT_F32, TENSOR_SHAPE(1 << 20), &tensor), EXHAUSTED);
    arena_close(&arena);
    assert_int_equal(device_memory_used(device), 0);
    assert_true(device_memory_peak(device) >= 4000);
    pack_and_close(device);
    assert_int_equal(device_memory_used(device), 0);
    device_close(&device);
  }
}

static void test_views(void **state) {
  (void)state;
  struct arena *arena = NULL;
  struct tensor t;
  assert_int_equal(arena_open(NULL, 1 << 20, &arena), OK);
  assert_int_equal(tensor_take(arena, ELEMENT_BF16, TENSOR_SHAPE(4, 3, 5), &t), OK);
  assert_int_equal(tensor_count(&t), 60);
  assert_int_equal(tensor_bytes(&t), 120);
  struct tensor rows = tensor_rows(&t, 1, 2);
  assert_int_equal((char *)rows.data - (char *)t.data, 30);
  assert_int_equal(rows.shape[0], 2);
  struct tensor flat = tensor_view(&t, TENSOR_SHAPE(12, 5));
  assert_ptr_equal(flat.data, t.data);
  assert_false(tensor_same_shape(&flat, &t));
  assert_int_equal(flat.shape[2], 1);
  arena_close(&arena);
}

static void test_every_half_comes_back(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    float f16 = f16_to_f32((uint16_t)bits), bf16 = bf16_to_f32((uint16_t)bits);
    assert_true(isnan(f16) ? isnan(f16_to_f32(f32_to_f16(f16))) : f32_to_f16(f16) == bits);
    assert_true(isnan(bf16) ? isnan(bf16_to_f32(f32_to_bf16(bf16))) : f32_to_bf16(bf16) == bits);
  }
}

static void test_halves_round_to_nearest_even(void **state) {
  (void)state;
  assert_int_equal(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);           /* tie, to even: down */
  assert_int_equal(f32_to_bf16(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82); /* tie, to even: up */
  assert_int_equal(f32_to_bf16(1.0f + 0x1.8p-8f), 0x3f81);
  assert_int_equal(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
  assert_int_equal(f32_to_f16(1.0f + 0x1p-10f + 0x1p-11f), 0x3c02);
  assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
  assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
  assert_int_equal(f32_to_f16(-1e9f), 0xfc00);
  assert_int_equal(f32_to_f16(0x1p-24f), 1);
  assert_int_equal(f32_to_f16(0x1p-25f), 0);
  assert_int_equal(f32_to_f16(0x1.8p-25f), 1);
  assert_int_equal(f32_to_f16(0x1.ffep-15f),
                   0x400); /* a subnormal that rounds up to the first normal */
}

static void test_finite_tells_each_row(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    float values[] = {1, -3, NAN, 2, INFINITY, 0, -3e38f, 4};
    int32_t verdicts[4] = {7, 7, 7, 7};
    static const int32_t wanted[4] = {1, 0, 0, 1};
    const struct tensor x = {values, ELEMENT_F32, 2, {4, 2, 1, 1}};
    const struct tensor finite = {verdicts, ELEMENT_I32, 1, {4, 1, 1, 1}};
    assert_int_equal(op_finite(device, &x, &finite), OK);
    assert_memory_equal(verdicts, wanted, sizeof wanted);
    device_close(&device);
  }
}

/* Idle places are left alone, and a sample that has become infinite is told from its mates. */
static void test_advance_tells_each_sample(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    float prediction[] = {1, 2, 3e38f, 4}, slots[2][2] = {{1, 1}, {1, 1}};
    int32_t verdicts[3] = {7, 7, 7};
    static const int32_t wanted[3] = {1, 1, 0};
    struct batch_sample samples[3] = {
        {.slots = slots[0], .slot_count = 1, .cond_row = 0, .uncond_row = -1, .matrix = {1, 2, 0}},
        {.slots = NULL},
        {.slots = slots[1], .slot_count = 1, .cond_row = 1, .uncond_row = -1, .matrix = {1, 2, 0}}};
    const struct tensor out = {prediction, ELEMENT_F32, 4, {2, 1, 2, 1}};
    const struct tensor finite = {verdicts, ELEMENT_I32, 1, {3, 1, 1, 1}};
    assert_int_equal(op_advance(device, samples, 3, &out, &finite), OK);
    assert_memory_equal(verdicts, wanted, sizeof wanted);
    assert_true(slots[0][0] == 3 && slots[0][1] == 5);
    device_close(&device);
  }
}

/* By hand: cond 1, 3 and uncond 0, 0 at guidance 3 give 3, 9, whose spread is three times cond's:
 * a rescale of 0.6 leaves 0.6 / 3 + 0.4 of it. */
static void test_advance_rescales_and_masks(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    float prediction[] = {1, 3, 0, 0}, slots[2] = {10, 20}, mask[2] = {0.25f, 1};
    float clean[2] = {8, NAN}, begun[2] = {2, NAN}; /* not looked at where all may change */
    int32_t verdict = 0;
    struct batch_sample sample = {.slots = slots,
                                  .slot_count = 1,
                                  .cond_row = 0,
                                  .uncond_row = 1,
                                  .guidance = 3,
                                  .rescale = 0.6f,
                                  .matrix = {1, 1, 0}};
    const struct tensor out = {prediction, ELEMENT_F32, 4, {2, 2, 1, 1}};
    const struct tensor finite = {&verdict, ELEMENT_I32, 1, {1, 1, 1, 1}};
    assert_int_equal(op_advance(device, &sample, 1, &out, &finite), OK);
    assert_float_equal(slots[0], 10 + 0.6 * 3, 1e-5);
    assert_float_equal(slots[1], 20 + 0.6 * 9, 1e-5);
    sample = (struct batch_sample){.slots = slots,
                                   .mask = mask,
                                   .clean = clean,
                                   .begun = begun,
                                   .slot_count = 1,
                                   .cond_row = 0,
                                   .uncond_row = -1,
                                   .rescale = 0.6f, /* of no meaning without guidance */
                                   .keep_clean = 0.5f,
                                   .keep_begun = 3,
                                   .matrix = {0, 4, 0}};
    assert_int_equal(op_advance(device, &sample, 1, &out, &finite), OK);
    assert_true(verdict == 1 && slots[0] == 0.25f * 4 + 0.75f * (0.5f * 8 + 3 * 2));
    assert_true(slots[1] == 12);
    device_close(&device);
  }
}

/* The logarithm of 4 is twice that of the deviation 2; one beyond the bounds is cut. */
static void test_a_posterior_is_sampled(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    float said[] = {1, 2, logf(4), -99, 5, NAN, 0, 0}, noise[] = {3, 4, -1, 1}, latents[4];
    const struct tensor moments = {said, ELEMENT_F32, 4, {1, 1, 2, 4}};
    const struct tensor y = {latents, ELEMENT_F32, 3, {1, 2, 2, 1}};
    struct tensor drawn = {noise, ELEMENT_F32, 3, {1, 2, 2, 1}};
    assert_int_equal(op_posterior(device, &moments, &drawn, 0.5f, &y), OK);
    assert_float_equal(latents[0], 0.5 * (1 + 2 * 3), 1e-6);
    assert_float_equal(latents[1], 0.5 * (2 + exp(-15) * 4), 1e-6);
    assert_float_equal(latents[2], 0.5 * (5 - 1), 1e-6);
    assert_true(isnan(latents[3]));
    drawn.data = NULL;
    assert_int_equal(op_posterior(device, &moments, &drawn, 0.5f, &y), OK);
    assert_true(latents[0] == 0.5f && latents[1] == 1 && latents[2] == 2.5f);
    device_close(&device);
  }
}

/* 1, 3 and 2, 2 have the mean 2; with the second word doubled 3, which brings all down to 2/3. */
static void test_emphasis_keeps_the_mean(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    assert_int_equal(device_open(names[i], NULL, &device), OK);
    float words[] = {1, 3, 2, 2}, told[] = {1, 2};
    const float wanted[] = {2 / 3.0f, 2, 8 / 3.0f, 8 / 3.0f};
    const struct tensor x = {words, ELEMENT_F32, 2, {2, 2, 1, 1}};
    const struct tensor weights = {told, ELEMENT_F32, 1, {2, 1, 1, 1}};
    assert_int_equal(op_weigh(device, &weights, &x), OK);
    for (int j = 0; j < 4; j++) {
      assert_float_equal(words[j], wanted[j], 1e-6);
    }
    float still[] = {1, -1, 2, -2}; /* a mean of 0 cannot be kept by a factor */
    const struct tensor zero = {still, ELEMENT_F32, 2, {2, 2, 1, 1}};
    assert_int_equal(op_weigh(device, &weights, &zero), OK);
    assert_true(still[0] == 1 && still[3] == -4);
    device_close(&device);
  }
}

/* A device whose work is done when a call returns. */
static void test_events_of_a_host_have_always_passed(void **state) {
  (void)state;
  struct device *device = NULL;
  struct event *event = NULL;
  bool passed = false;
  void *room = NULL;
  assert_int_equal(device_open("ref", NULL, &device), OK);
  assert_false(device_has_queues(device) || device_keeps_sequences(device));
  assert_int_equal(event_open(device, &event), OK);
  device_use(device, QUEUE_DECODES);
  assert_int_equal(event_record(event), OK);
  assert_int_equal(event_follow(event), OK);
  assert_int_equal(event_poll(event, &passed), OK);
  assert_true(passed);
  assert_int_equal(event_wait(event), OK);
  assert_int_equal(device_pin(device, 100, &room), OK);
  device_unpin(device, &room, 100);
  assert_null(room);
  event_close(&event);
  assert_null(event);
  device_close(&device);
}

/* NaN becomes black, what is out of range the nearest end, halves go to even. */
static void test_pixels_of_any_values(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    const struct device_settings settings = {.force_f32 = true};
    assert_int_equal(device_open(names[i], &settings, &device), OK);
    float values[6] = {NAN, -7, INFINITY, 0, 1, 0.2f};
    uint8_t bytes[6];
    static const uint8_t wanted[6] = {0, 0, 255, 128, 255, 153};
    const struct tensor x = {values, ELEMENT_F32, 4, {1, 1, 2, 3}};
    const struct tensor y = {bytes, ELEMENT_U8, 4, {1, 1, 2, 3}};
    assert_int_equal(op_pixels(device, &x, &y), OK);
    assert_memory_equal(bytes, wanted, sizeof wanted);
    device_close(&device);
  }
}

/* Without variance only epsilon stands between a norm and a division by zero. */
static void test_a_flat_group_becomes_its_shift(void **state) {
  (void)state;
  static const char *const names[] = {"ref", "cpu"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct device *device = NULL;
    const struct device_settings settings = {.force_f32 = true};
    assert_int_equal(device_open(names[i], &settings, &device), OK);
    float flat[64], gamma[16], beta[16], grouped[64], layered[64];
    for (int v = 0; v < 64; v++) {
      flat[v] = 2;
      gamma[v % 16] = 3;
      beta[v % 16] = (float)(v % 16);
    }
    const struct norm norm = {
        {gamma, ELEMENT_F32, 1, {16}}, {beta, ELEMENT_F32, 1, {16}}, 1e-5f, 4};
    const struct tensor x = {flat, ELEMENT_F32, 4, {1, 2, 2, 16}};
    const struct tensor y = {grouped, ELEMENT_F32, 4, {1, 2, 2, 16}};
    const struct tensor rows = {flat, ELEMENT_F32, 2, {4, 16}};
    const struct tensor rows_out = {layered, ELEMENT_F32, 2, {4, 16}};
    assert_int_equal(op_group_norm(device, &x, &norm, false, &y), OK);
    assert_int_equal(op_layer_norm(device, &rows, &norm, &rows_out), OK);
    for (int v = 0; v < 64; v++) {
      assert_true(grouped[v] == (float)(v % 16));
      assert_true(layered[v] == (float)(v % 16));
    }
    device_close(&device);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_f32_can_be_forced),
      cmocka_unit_test(test_memory_is_counted_and_limited),
      cmocka_unit_test(test_views),
      cmocka_unit_test(test_every_half_comes_back),
      cmocka_unit_test(test_halves_round_to_nearest_even),
      cmocka_unit_test(test_finite_tells_each_row),
      cmocka_unit_test(test_advance_rescales_and_masks),
      cmocka_unit_test(test_a_posterior_is_sampled),
      cmocka_unit_test(test_emphasis_keeps_the_mean),
      cmocka_unit_test(test_advance_tells_each_sample),
      cmocka_unit_test(test_events_of_a_host_have_always_passed),
      cmocka_unit_test(test_pixels_of_any_values),
      cmocka_unit_test(test_a_flat_group_becomes_its_shift),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
