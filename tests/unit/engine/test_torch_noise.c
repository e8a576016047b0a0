/* test_torch_noise.c - plans, loops and noise together: the published goldens of diffusers'
 * ancestral Euler, DDPM and LCM, whose steps draw from torch's generator with seed 0. */
#include "kernels/random.h"
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sampler/loops.h"
#include "tests/unit/sampler/loops_listed.h"

static void draw(void *context, double *out) {
  float values[LOOP_VALUES];
  random_normal(context, values, LOOP_VALUES);
  for (int k = 0; k < LOOP_VALUES; k++) {
    out[k] = (double)values[k];
  }
}

static struct loop ancestral(struct random *random) {
  struct loop loop = {.train = 1100,
                      .steps = 10,
                      .beta_start = 1e-4,
                      .beta_end = 0.02,
                      .feed_scaled = true,
                      .model = loop_model,
                      .noise = draw,
                      .noise_context = random};
  loop_start(loop.x);
  random_seed(random, 0);
  return loop;
}

static void the_loop_reaches_the_golden(void **state) {
  (void)state;
  struct random random;
  struct loop loop = ancestral(&random);
  loop_euler_a(&loop);
  assert_float_equal(loop_sum(loop.x), 152.3192, 1e-2);
}

static void the_plan_reaches_the_golden(void **state) {
  (void)state;
  static struct noise_levels levels;
  struct random random;
  struct loop loop = ancestral(&random);
  struct noise_facts facts = {
      .train_timesteps = loop.train, .beta_start = loop.beta_start, .beta_end = loop.beta_end};
  struct arena *arena = NULL;
  struct plan plan;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  assert_int_equal(arena_open(NULL, 1 << 20, &arena), OK);
  struct plan_request request = plan_request_make(&levels, "euler_a", loop.steps);
  assert_int_equal(plan_make(arena, &request, &plan), OK);
  for (int e = 0; e < plan.rows; e++) {
    const struct plan_row *row = &plan.row[e];
    double noise[LOOP_VALUES];
    draw(&random, noise);
    for (int k = 0; k < LOOP_VALUES; k++) {
      double x = loop.x[k] * (e == 0 ? plan.start_scale : 1.0f) *
                 row->input_scale; /* the scaled input is fed back */
      loop.x[k] = row->matrix[0] * x + row->matrix[1] * loop_model(x, row->timestep) +
                  row->matrix[2] * noise[k];
    }
  }
  assert_float_equal(loop_sum(loop.x), 152.3192, 1e-2);
  arena_close(&arena);
}

static struct loop drawing(struct random *random) {
  struct loop loop = ancestral(random);
  loop.train = 1000;
  loop.feed_scaled = false;
  return loop;
}

static void the_loop_reaches_the_goldens_of_ddpm(void **state) {
  (void)state;
  struct random random;
  struct loop loop = drawing(&random);
  loop.steps = 1000;
  loop.clip = true;
  loop_ddpm(&loop);
  assert_float_equal(loop_sum(loop.x), 258.9606, 1e-2);
  loop = drawing(&random);
  loop.steps = 1000;
  loop.clip = true;
  loop.prediction = LOOP_V;
  loop_ddpm(&loop);
  assert_float_equal(loop_sum(loop.x), 202.0296, 1e-2);
}

static void the_loop_reaches_the_golden_of_lcm(void **state) {
  (void)state;
  struct random random;
  struct loop loop = drawing(&random);
  loop.beta_start = 0.00085;
  loop.beta_end = 0.012;
  loop.scaled = true;
  loop_lcm(&loop);
  assert_float_equal(loop_sum(loop.x), 197.7616, 1e-2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_loop_reaches_the_golden),
      cmocka_unit_test(the_plan_reaches_the_golden),
      cmocka_unit_test(the_loop_reaches_the_goldens_of_ddpm),
      cmocka_unit_test(the_loop_reaches_the_golden_of_lcm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
