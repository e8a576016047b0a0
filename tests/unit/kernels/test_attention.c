/* test_attention.c - attention where the running softmax is hard pressed: scores that rise along
 * the keys, scores far apart, a value that is not a number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "kernels/device.h"
#include "kernels/ops.h"
#include "tests/unit/kernels/wrong.h"

enum { TOKENS = 300, HEADS = 2, D = 40, WIDTH = HEADS * D, VALUES = TOKENS * 3 * WIDTH };
#define MEMORY_BYTES ((size_t)64 << 20)

/* q, k, v side by side; the same for every device. */
static float qkv[VALUES];

static float *at(int token, int part) { return qkv + (token * 3 + part) * WIDTH; }

/* Query i likes key j by (1 + i % 3) * slope * j, and a little more or less; where f32 has no room
 * for a little, it is left away. */
static void fill(float slope) {
  uint32_t seed = 1;
  for (int i = 0; i < VALUES; i++) {
    seed = seed * 1664525u + 1013904223u;
    qkv[i] = bf16_to_f32(f32_to_bf16((float)((int32_t)seed >> 8) * 0x1p-23f));
  }
  for (int token = 0; token < TOKENS; token++) {
    if (fabsf(slope) > 100) {
      memset(at(token, 0), 0, WIDTH * sizeof *qkv);
    }
    for (int head = 0; head < HEADS; head++) {
      at(token, 0)[head * D] = (float)(1 + token % 3);
      at(token, 1)[head * D] = bf16_to_f32(f32_to_bf16(slope * (float)token));
    }
  }
}

static void must(enum status status) {
  if (status != OK) {
    WRONG("%s", fail_reason());
  }
}

/* The result as floats, to be freed. */
static float *attend(const char *name, bool force_f32, bool causal) {
  const struct device_settings settings = {.threads = 2, .force_f32 = force_f32};
  struct device *device = NULL;
  struct arena *arena = NULL;
  struct tensor x, y;
  must(device_open(name, &settings, &device));
  enum element element = device_element(device);
  must(device_arena(device, MEMORY_BYTES, &arena));
  must(tensor_take(arena, element, TENSOR_SHAPE(1, TOKENS, 3 * WIDTH), &x));
  must(tensor_take(arena, element, TENSOR_SHAPE(1, TOKENS, WIDTH), &y));
  char *host = calloc(1, tensor_bytes(&x));
  float *result = calloc(TOKENS * WIDTH, sizeof *result);
  assert_non_null(host);
  assert_non_null(result);
  elements_from_f32(element, qkv, VALUES, host);
  must(device_put(device, host, tensor_bytes(&x), &x));
  const struct attention attention = {
      .q = {&x, 0}, .k = {&x, WIDTH}, .v = {&x, 2 * WIDTH}, .heads = HEADS, .causal = causal};
  must(op_attention(device, &attention, &y));
  must(device_get(device, &y, host, tensor_bytes(&y)));
  elements_to_f32(element, host, TOKENS * WIDTH, result);
  free(host);
  arena_close(&arena);
  device_close(&device);
  return result;
}

static void compare(float slope, bool force_f32, bool causal) {
  fill(slope);
  float *ref = attend("ref", false, causal), *cpu = attend("cpu", force_f32, causal);
  double off = 0, size = 0;
  for (int i = 0; i < TOKENS * WIDTH; i++) {
    off += ((double)cpu[i] - ref[i]) * ((double)cpu[i] - ref[i]);
    size += (double)ref[i] * ref[i];
  }
  if (!(off / size < 1e-5)) {
    WRONG("slope %g, f32 %d, causal %d: error %g", slope, force_f32, causal, off / size);
  }
  free(ref);
  free(cpu);
}

static void test_any_scores_agree_with_ref(void **state) {
  (void)state;
  static const float slopes[] = {1, -1, 20, -20, 1e4f, -1e4f, 1e6f, -1e6f};
  for (size_t i = 0; i < sizeof slopes / sizeof slopes[0]; i++) {
    compare(slopes[i], false, false);
    compare(slopes[i], false, true);
    compare(slopes[i], true, false);
    compare(slopes[i], true, true);
  }
}

/* A query that is not a number spoils its own line and no other; a key spoils all. */
static void test_not_a_number_is_not_hidden(void **state) {
  (void)state;
  for (int force_f32 = 0; force_f32 < 2; force_f32++) {
    fill(1);
    at(7, 0)[3] = NAN;
    float *cpu = attend("cpu", force_f32 != 0, false);
    for (int token = 0; token < TOKENS; token++) {
      assert_int_equal(isnan(cpu[token * WIDTH]) != 0, token == 7);
    }
    free(cpu);
    fill(1);
    at(7, 1)[3] = NAN;
    cpu = attend("cpu", force_f32 != 0, false);
    for (int token = 0; token < TOKENS; token++) {
      assert_true(isnan(cpu[token * WIDTH]));
    }
    free(cpu);
  }
}

int main(int count, char **words) {
  (void)count;
  device_calm_threads(words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_scores_agree_with_ref),
      cmocka_unit_test(test_not_a_number_is_not_hidden),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
