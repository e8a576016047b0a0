/* test_random.c - torch's CPU generator: goldens of torch.manual_seed(0); torch.randn(n).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "kernels/random.h"

static void assert_near(float got, double wanted, double within) {
  assert_true(fabs(got - wanted) <= within);
}

static void test_bits_are_mt19937(void **state) {
  (void)state;
  struct random random;
  random_seed(&random,
              5489); /* the generator's reference seed: its 10000th output is in the C++ standard */
  uint32_t bits = 0;
  for (int i = 0; i < 10000; i++) {
    bits = random_bits(&random);
  }
  assert_int_equal(bits, 4123659995u);
}

static void test_only_the_low_half_of_the_seed_counts(void **state) {
  (void)state;
  struct random a, b;
  random_seed(&a, 7);
  random_seed(&b, 7 + (1ull << 32));
  assert_int_equal(random_bits(&a), random_bits(&b));
}

static void test_few_values_are_pairs_with_a_cached_second(void **state) {
  (void)state;
  static const double torch[] = {1.5409961, -0.2934289, -2.1787894};
  struct random random;
  float values[3];
  random_seed(&random, 0);
  random_normal(&random, values, 3);
  for (int i = 0; i < 3; i++) {
    assert_near(values[i], torch[i], 1e-5);
  }
  /* the pair's second value survives to the next call, and to a copy of the generator */
  struct random copy = random;
  float next, again;
  random_normal(&random, &next, 1);
  random_normal(&copy, &again, 1);
  assert_true(next == again);
  assert_true(random.has_cached == false);
}

static const double sixteen[] = {-1.1258, -1.1524, -0.2506, -0.4339, 0.8487, 0.6920,
                                 -0.3160, -2.1152, 0.3223,  -1.2633, 0.3500, 0.3081,
                                 0.1198,  1.2377,  1.1168,  -0.2473};

static void test_sixteen_values_are_a_block(void **state) {
  (void)state;
  struct random random;
  float values[16];
  random_seed(&random, 0);
  random_normal(&random, values, 16);
  for (int i = 0; i < 16; i++) {
    assert_near(values[i], sixteen[i], 6e-5);
  }
}

/* 20 values: a block of the first 16 uniforms, then 16 fresh uniforms (after all 20) over the
 * last 16. */
static void test_a_ragged_tail_is_drawn_anew(void **state) {
  (void)state;
  struct random random, other;
  float values[20], tail[16];
  random_seed(&random, 0);
  random_normal(&random, values, 20);
  for (int i = 0; i < 4; i++) { /* what of the first block the tail does not cover */
    assert_near(values[i], sixteen[i], 6e-5);
  }
  random_seed(&other, 0);
  for (int i = 0; i < 20; i++) {
    random_bits(&other);
  }
  random_normal(&other, tail, 16);
  for (int i = 0; i < 16; i++) {
    assert_true(values[4 + i] == tail[i]);
  }
  assert_int_equal(random_bits(&random), random_bits(&other));
}

static void test_an_image_is_drawn_by_channels_and_laid_by_pixels(void **state) {
  (void)state;
  enum { CHANNELS = 4, HEIGHT = 3, WIDTH = 5, PIXELS = HEIGHT * WIDTH, COUNT = CHANNELS * PIXELS };
  struct random a, b;
  float planes[COUNT], scratch[COUNT], image[COUNT];
  random_seed(&a, 42);
  random_seed(&b, 42);
  random_normal(&a, planes, COUNT);
  random_normal_image(&b, CHANNELS, HEIGHT, WIDTH, scratch, image);
  for (int p = 0; p < PIXELS; p++) {
    for (int c = 0; c < CHANNELS; c++) {
      assert_true(image[p * CHANNELS + c] == planes[c * PIXELS + p]);
    }
  }
}

static void test_values_are_normal(void **state) {
  (void)state;
  enum { COUNT = 65536 };
  static float values[COUNT];
  struct random random;
  random_seed(&random, 123);
  random_normal(&random, values, COUNT);
  double sum = 0, squares = 0;
  for (int i = 0; i < COUNT; i++) {
    assert_true(isfinite(values[i]));
    sum += values[i];
    squares += (double)values[i] * values[i];
  }
  assert_true(fabs(sum / COUNT) < 0.02);
  assert_true(fabs(squares / COUNT - 1) < 0.03);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bits_are_mt19937),
      cmocka_unit_test(test_only_the_low_half_of_the_seed_counts),
      cmocka_unit_test(test_few_values_are_pairs_with_a_cached_second),
      cmocka_unit_test(test_sixteen_values_are_a_block),
      cmocka_unit_test(test_a_ragged_tail_is_drawn_anew),
      cmocka_unit_test(test_an_image_is_drawn_by_channels_and_laid_by_pixels),
      cmocka_unit_test(test_values_are_normal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
