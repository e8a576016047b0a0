/* test_plan.c - every row of the table of samplers against its plain loop (loop*.h).
 *
 * The loops are first held against the published goldens of diffusers' tests (tests/schedulers of
 * diffusers 0.35). Goldens of DDIM clip, those of DPM++ and UniPC end at the least sigma, PNDM's
 * begin by Runge and Kutta: plans offer none of it, so those goldens judge the loop, and the loop
 * without these options judges the plan. Goldens that need torch's noise: test_torch_noise.c in
 * tests/unit/engine.
 */
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sampler/advance.h"
#include "tests/unit/sampler/loop_pndm.h"
#include "tests/unit/sampler/loops.h"
#include "tests/unit/sampler/loops_keeping.h"

static struct noise_levels levels;
static struct arena *arena;

static void count_noise(void *context, double *out) {
  int *drawn = context;
  ++*drawn;
  for (int k = 0; k < LOOP_VALUES; k++) {
    out[k] = sin(k + 7 * *drawn);
  }
}

static const struct judge {
  const char *sampler;
  void (*run)(struct loop *loop);
} judges[] = {{"euler", loop_euler},
              {"euler_a", loop_euler_a},
              {"ddim", loop_ddim},
              {"dpmpp_2m", loop_dpmpp_2m},
              {"ddpm", loop_ddpm},
              {"pndm", loop_pndm},
              {"lms", loop_lms},
              {"heun", loop_heun},
              {"dpmpp_2m_sde", loop_dpmpp_2m_sde},
              {"dpmpp_sde", loop_dpmpp_sde},
              {"unipc", loop_unipc},
              {"lcm", loop_lcm},
              {"tcd", loop_tcd}};
enum { JUDGES = sizeof judges / sizeof judges[0] };

static struct loop standard(void) {
  struct loop loop = {.train = 1000,
                      .steps = 10,
                      .beta_start = 1e-4,
                      .beta_end = 0.02,
                      .alpha_to_one = true,
                      .model = loop_model};
  loop_start(loop.x);
  return loop;
}

static void make_levels(const struct loop *loop) {
  struct noise_facts facts = {
      .train_timesteps = loop->train,
      .beta_start = loop->beta_start,
      .beta_end = loop->beta_end,
      .beta_schedule = loop->scaled ? BETAS_SCALED_LINEAR : BETAS_LINEAR,
      .prediction = (enum prediction)loop->prediction,
      .final_alpha = loop->alpha_to_one ? FINAL_ALPHA_ONE : FINAL_ALPHA_FIRST};
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
}

/* What the engine does with a plan, in double. */
static void run_plan(const struct plan *plan, const struct loop *loop,
                     double slots[LOOP_VALUES][SAMPLE_SLOTS_MAX]) {
  double noise[LOOP_VALUES] = {0};
  for (int k = 0; k < LOOP_VALUES; k++) {
    slots[k][0] = plan->start_scale * loop->x[k];
  }
  for (const struct plan_row *row = plan->row; row < plan->row + plan->rows; row++) {
    if (row->needs_noise) {
      loop->noise(loop->noise_context, noise);
    }
    for (int k = 0; k < LOOP_VALUES; k++) {
      double seen = slots[k][0] * row->input_scale;
      slots[k][0] = loop->feed_scaled ? seen : slots[k][0];
      advance(plan, row, loop->model(seen, row->timestep), noise[k], slots[k]);
    }
  }
}

static double run_plan_of(const struct loop *loop, const char *sampler, double *out) {
  static double slots[LOOP_VALUES][SAMPLE_SLOTS_MAX];
  struct plan_request request = plan_request_make(&levels, sampler, loop->steps);
  request.schedule = loop->karras ? SCHEDULE_KARRAS : SCHEDULE_MODEL;
  struct plan plan;
  assert_int_equal(plan_make(arena, &request, &plan), OK);
  memset(slots, 0, sizeof slots);
  run_plan(&plan, loop, slots);
  for (int k = 0; k < LOOP_VALUES; k++) {
    out[k] = slots[k][0];
  }
  arena_drop(arena);
  return loop_sum(out);
}

/* ---- the published goldens ---- */

static double mean_of(struct loop loop, void (*run)(struct loop *)) {
  run(&loop);
  return loop_sum(loop.x) / LOOP_VALUES;
}

static double sum_of(struct loop loop, void (*run)(struct loop *)) {
  run(&loop);
  return loop_sum(loop.x);
}

static void loops_reach_the_goldens_of_ddim(void **state) {
  (void)state;
  struct loop loop = standard();
  loop.clip = true;
  assert_float_equal(sum_of(loop, loop_ddim), 172.0067, 1e-2);
  loop.beta_start = 0.01;
  assert_float_equal(sum_of(loop, loop_ddim), 149.8295, 1e-2);
  loop.alpha_to_one = false;
  assert_float_equal(sum_of(loop, loop_ddim), 149.0784, 1e-2);
  loop = standard();
  loop.clip = true;
  loop.prediction = LOOP_V;
  assert_float_equal(sum_of(loop, loop_ddim), 52.5302, 1e-2);
}

/* The last two of ten steps, from the image under the noise of timestep 100. */
static void the_loop_reaches_the_golden_of_strength(void **state) {
  (void)state;
  struct loop loop = standard();
  loop.clip = true;
  loop.first = 8;
  double a = loop_alpha_bar(&loop, 100);
  for (int k = 0; k < LOOP_VALUES; k++) {
    double noise = (LOOP_VALUES - 1.0) / LOOP_VALUES - loop.x[k];
    loop.x[k] = sqrt(a) * loop.x[k] + sqrt(1 - a) * noise;
  }
  assert_float_equal(sum_of(loop, loop_ddim), 354.5418, 1e-2);
}

static void loops_reach_the_goldens_of_dpmpp_2m(void **state) {
  (void)state;
  struct loop loop = standard();
  loop.end_at_minimum = true;
  assert_float_equal(mean_of(loop, loop_dpmpp_2m), 0.3301, 1e-3);
  loop.prediction = LOOP_V;
  assert_float_equal(mean_of(loop, loop_dpmpp_2m), 0.2251, 1e-3);
  loop.karras = true;
  assert_float_equal(mean_of(loop, loop_dpmpp_2m), 0.2096, 1e-3);
}

static void loop_and_plan_reach_the_goldens_of_euler(void **state) {
  (void)state;
  double out[LOOP_VALUES];
  struct loop loop = standard();
  loop.train = 1100;
  loop.feed_scaled = true;
  make_levels(&loop);
  assert_float_equal(sum_of(loop, loop_euler), 10.0807, 1e-2);
  assert_float_equal(run_plan_of(&loop, "euler", out), 10.0807, 1e-2);
  loop.karras = true;
  assert_float_equal(sum_of(loop, loop_euler), 124.52299, 1e-2);
  assert_float_equal(run_plan_of(&loop, "euler", out), 124.52299, 1e-2);
  loop.karras = false;
  loop.prediction = LOOP_V;
  make_levels(&loop);
  assert_float_equal(sum_of(loop, loop_euler), 0.0002, 1e-2);
  assert_float_equal(run_plan_of(&loop, "euler", out), 0.0002, 1e-2);
}

static struct loop growing(void) {
  struct loop loop = standard();
  loop.train = 1100;
  loop.feed_scaled = true;
  make_levels(&loop);
  return loop;
}

static void loop_and_plan_reach_the_golden_of_heun(void **state) {
  (void)state;
  double out[LOOP_VALUES];
  struct loop loop = growing();
  assert_float_equal(sum_of(loop, loop_heun), 0.1233, 1e-2);
  assert_float_equal(run_plan_of(&loop, "heun", out), 0.1233, 1e-2);
}

/* These sums are diffusers' in f32; in double they differ by 1e-5 of themselves. */
static void loop_and_plan_reach_the_goldens_of_lms(void **state) {
  (void)state;
  double out[LOOP_VALUES];
  struct loop loop = growing();
  assert_float_equal(sum_of(loop, loop_lms), 1006.388, 2e-5 * 1006);
  assert_float_equal(run_plan_of(&loop, "lms", out), 1006.388, 2e-5 * 1006);
  loop.karras = true;
  assert_float_equal(sum_of(loop, loop_lms), 3812.9927, 2e-5 * 3813);
  assert_float_equal(run_plan_of(&loop, "lms", out), 3812.9927, 2e-5 * 3813);
}

static void loops_reach_the_goldens_of_unipc(void **state) {
  (void)state;
  struct loop loop = standard();
  loop.end_at_minimum = true;
  assert_float_equal(mean_of(loop, loop_unipc), 0.2464, 1e-3);
  loop.prediction = LOOP_V;
  assert_float_equal(mean_of(loop, loop_unipc), 0.1014, 1e-3);
  loop.karras = true;
  assert_float_equal(mean_of(loop, loop_unipc), 0.1966, 1e-3);
}

static void loops_reach_the_goldens_of_pndm(void **state) {
  (void)state;
  struct loop loop = standard();
  loop.runge_kutta = true;
  loop.alpha_to_one = false;
  assert_float_equal(sum_of(loop, loop_pndm), 198.1318, 1e-2);
  loop.prediction = LOOP_V;
  assert_float_equal(sum_of(loop, loop_pndm), 67.3986, 1e-2);
  loop.prediction = LOOP_EPSILON;
  loop.beta_start = 0.01;
  assert_float_equal(sum_of(loop, loop_pndm), 186.9482, 1e-2);
  loop.alpha_to_one = true;
  assert_float_equal(sum_of(loop, loop_pndm), 230.0399, 1e-2);
}

static void loops_and_plans_reach_the_goldens_of_few_steps(void **state) {
  (void)state;
  double out[LOOP_VALUES];
  struct loop loop = standard();
  loop.beta_start = 0.00085;
  loop.beta_end = 0.012;
  loop.scaled = true;
  make_levels(&loop);
  assert_float_equal(sum_of(loop, loop_tcd), 181.2040, 1e-2);
  assert_float_equal(run_plan_of(&loop, "tcd", out), 181.2040, 1e-2);
  loop.steps = 1;
  assert_float_equal(sum_of(loop, loop_tcd), 29.8715, 1e-2);
  assert_float_equal(run_plan_of(&loop, "tcd", out), 29.8715, 1e-2);
  assert_float_equal(sum_of(loop, loop_lcm), 18.7097, 1e-2);
  assert_float_equal(run_plan_of(&loop, "lcm", out), 18.7097, 1e-2);
}

/* ---- plan = loop ---- */

static void compare(const struct judge *judge, const struct loop *start) {
  static double out[LOOP_VALUES];
  int drawn = 0;
  struct loop loop = *start;
  loop.noise = count_noise;
  loop.noise_context = &drawn;
  double sum = run_plan_of(&loop, judge->sampler, out);
  drawn = 0;
  judge->run(&loop);
  for (int k = 0; k < LOOP_VALUES; k++) {
    /* Two steps of the table are f32, the loop is not. */
    assert_true(fabs(out[k] - loop.x[k]) <= 1e-4 * (fabs(loop.x[k]) + sum / LOOP_VALUES));
  }
}

static double bent_model(double x, double t) { return x / (1 + fabs(x)) + t / 2000; }

static void every_sampler_is_its_loop(void **state) {
  (void)state;
  static const int steps[] = {1, 2, 3, 14, 15, 16, 25};
  assert_int_equal(JUDGES, sampler_count);
  for (size_t s = 0; s < JUDGES; s++) {
    assert_string_equal(judges[s].sampler, samplers[s].name);
    for (int prediction = LOOP_EPSILON; prediction <= LOOP_SAMPLE; prediction++) {
      struct loop loop = standard();
      loop.prediction = (enum loop_prediction)prediction;
      loop.model = bent_model;
      loop.beta_start = 0.00085;
      make_levels(&loop);
      for (size_t n = 0; n < sizeof steps / sizeof steps[0]; n++) {
        loop.steps = steps[n];
        loop.karras = false;
        compare(&judges[s], &loop);
        loop.karras = samplers[s].any_schedule;
        compare(&judges[s], &loop);
      }
    }
  }
}

static int setup(void **state) {
  (void)state;
  return arena_open(NULL, 4 << 20, &arena) == OK ? 0 : -1;
}
static int teardown(void **state) {
  (void)state;
  arena_close(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(loops_reach_the_goldens_of_ddim),
      cmocka_unit_test(the_loop_reaches_the_golden_of_strength),
      cmocka_unit_test(loops_reach_the_goldens_of_dpmpp_2m),
      cmocka_unit_test(loop_and_plan_reach_the_goldens_of_euler),
      cmocka_unit_test(loop_and_plan_reach_the_golden_of_heun),
      cmocka_unit_test(loop_and_plan_reach_the_goldens_of_lms),
      cmocka_unit_test(loops_reach_the_goldens_of_unipc),
      cmocka_unit_test(loops_reach_the_goldens_of_pndm),
      cmocka_unit_test(loops_and_plans_reach_the_goldens_of_few_steps),
      cmocka_unit_test(every_sampler_is_its_loop),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
