/* test_noise_levels.c - the tables of training noise: known values, properties, and facts that are
 * refused. */
#include "worker/sampler/noise_levels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct noise_levels levels;

static struct noise_facts stable_diffusion(void) {
  return (struct noise_facts){.train_timesteps = 1000,
                              .beta_start = 0.00085,
                              .beta_end = 0.012,
                              .beta_schedule = BETAS_SCALED_LINEAR};
}

/* From DDIMScheduler(...).alphas_cumprod and EulerDiscreteScheduler(...).sigmas. */
static void known_values(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  assert_float_equal(levels.alpha_bar[0], 0.99915, 1e-7);
  assert_float_equal(levels.alpha_bar[500], 0.2763326, 1e-6);
  assert_float_equal(levels.alpha_bar[999], 0.0046601, 1e-6);
  assert_float_equal(levels.sigma[0], 0.0291676, 1e-6);
  assert_float_equal(levels.sigma[999], 14.6146, 1e-3);
}

static void noise_rises_whatever_the_schedule(void **state) {
  (void)state;
  for (int schedule = BETAS_LINEAR; schedule <= BETAS_SQUARED_COSINE; schedule++) {
    for (int zero = 0; zero <= 1; zero++) {
      struct noise_facts facts = stable_diffusion();
      facts.beta_schedule = (enum beta_schedule)schedule;
      facts.rescale_zero_snr = zero == 1;
      assert_int_equal(noise_levels_make(&facts, &levels), OK);
      for (int t = 1; t < facts.train_timesteps; t++) {
        assert_true(levels.alpha_bar[t] < levels.alpha_bar[t - 1]);
        assert_true(levels.sigma[t] > levels.sigma[t - 1] && isfinite(levels.sigma[t]));
      }
    }
  }
}

static void zero_terminal_snr_ends_in_pure_noise(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  double first = levels.alpha_bar[0];
  facts.rescale_zero_snr = true;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  assert_float_equal(levels.alpha_bar[0], first, 1e-6);
  assert_true(levels.alpha_bar[999] == 0.0);
  assert_float_equal(levels.sigma[999], 4096.0, 1.0);
}

static void facts_out_of_range_are_refused(void **state) {
  (void)state;
  struct noise_facts wrong[6];
  for (size_t i = 0; i < 6; i++) {
    wrong[i] = stable_diffusion();
  }
  wrong[0].train_timesteps = 0;
  wrong[1].train_timesteps = TRAIN_TIMESTEPS_MAX + 1;
  wrong[2].beta_start = 0.0;
  wrong[3].beta_end = NAN;
  wrong[4].steps_offset = -1;
  wrong[5].beta_end = 1.0;
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(noise_levels_make(&wrong[i], &levels), BAD_INPUT);
    assert_string_equal(fail_field_name(), "config");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_values),
      cmocka_unit_test(noise_rises_whatever_the_schedule),
      cmocka_unit_test(zero_terminal_snr_ends_in_pure_noise),
      cmocka_unit_test(facts_out_of_range_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
