/* test_goldens.c - every sampler against diffusers' own schedulers, over predictions, spacings and
 * numbers of steps. */
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/sampler/advance.h"

enum { VALUES = 64 };

struct golden {
  const char *sampler;
  bool karras;
  int steps;
  enum beta_schedule betas;
  enum prediction prediction;
  enum spacing spacing;
  int steps_offset;
  bool set_alpha_to_one, rescale_zero_snr;
  double first_timestep, last_timestep, first, last, sum;
};
#include "goldens.def"

/* Runs a plan on the made-up model of goldens_make.py. */
static void run(const struct plan *plan, double slots[VALUES][SAMPLE_SLOTS_MAX]) {
  int drawn = 0;
  for (int i = 0; i < VALUES; i++) {
    memset(slots[i], 0, sizeof slots[i]);
    slots[i][0] = sin(i + 1) * plan->start_scale;
  }
  for (int e = 0; e < plan->rows; e++) {
    const struct plan_row *row = &plan->row[e];
    drawn += row->needs_noise;
    for (int i = 0; i < VALUES; i++) {
      double seen = slots[i][0] * row->input_scale;
      double output = seen / (1.0 + fabs(seen)) + row->timestep / 2000.0;
      advance(plan, row, output, row->needs_noise ? sin(i + 7 * drawn) : 0.0, slots[i]);
    }
  }
}

/* diffusers computes a step in f32 as x + (x - x0)/sigma * (sigma' - sigma): with the huge sigmas
 * of zero terminal SNR and of the cosine schedule it loses three digits there, and the bar for
 * those rows is its error, not ours. */
static double tolerance(const struct golden *golden) {
  return golden->rescale_zero_snr || golden->betas == BETAS_SQUARED_COSINE ? 4e-3 : 2e-4;
}

static void check(struct arena *arena, const struct golden *golden) {
  struct noise_facts facts = {.train_timesteps = 1000,
                              .beta_start = 0.00085,
                              .beta_end = 0.012,
                              .beta_schedule = golden->betas,
                              .prediction = golden->prediction,
                              .spacing = golden->spacing,
                              .steps_offset = golden->steps_offset,
                              .set_alpha_to_one = golden->set_alpha_to_one,
                              .rescale_zero_snr = golden->rescale_zero_snr};
  static struct noise_levels levels;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct plan_request request = plan_request_make(&levels, golden->sampler, golden->steps);
  request.schedule = golden->karras ? SCHEDULE_KARRAS : SCHEDULE_MODEL;
  struct plan plan;
  assert_int_equal(plan_make(arena, &request, &plan), OK);
  assert_float_equal(plan.row[0].timestep, golden->first_timestep, 1e-3);
  assert_float_equal(plan.row[plan.rows - 1].timestep, golden->last_timestep, 1e-3);

  static double slots[VALUES][SAMPLE_SLOTS_MAX];
  run(&plan, slots);
  double sum = 0.0;
  for (int i = 0; i < VALUES; i++) {
    sum += fabs(slots[i][0]);
  }
  double scale = fmax(sum / VALUES, 1e-3);
  assert_float_equal(sum, golden->sum, tolerance(golden) * fmax(sum, 1e-3));
  assert_float_equal(slots[0][0], golden->first,
                     4 * tolerance(golden) * fmax(scale, fabs(golden->first)));
  assert_float_equal(slots[VALUES - 1][0], golden->last,
                     4 * tolerance(golden) * fmax(scale, fabs(golden->last)));
}

static void every_sampler_agrees_with_diffusers(void **state) {
  (void)state;
  struct arena *arena = NULL;
  assert_int_equal(arena_open(NULL, 1 << 20, &arena), OK);
  for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
    check(arena, &goldens[i]);
    arena_drop(arena);
  }
  arena_close(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_sampler_agrees_with_diffusers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
