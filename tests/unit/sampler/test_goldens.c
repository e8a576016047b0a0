/* test_goldens.c - every sampler against diffusers' own schedulers and the way its pipelines cut
 * and begin: predictions, spacings, schedules, numbers of steps, strengths, parts and masks. */
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/sampler/advance.h"

enum { VALUES = 64 };

struct golden {
  const char *sampler;
  enum noise_schedule schedule;
  int steps;
  enum beta_schedule betas;
  enum prediction prediction;
  enum spacing spacing;
  int steps_offset;
  enum final_alpha final_alpha;
  bool rescale_zero_snr;
  double eta;
  bool image;
  double strength, begin, end;
  bool mask;
  int rows;
  double first_timestep, last_timestep, first, second, sum;
};
#include "goldens.def"
enum { GOLDENS = sizeof goldens / sizeof goldens[0] };

static double noise(int i) { return sin(i + 1); }
static double image(int i) { return cos(i + 1); }

static double beginning(const struct plan *plan, int i) {
  return plan->start_none ? image(i) + noise(i) / 2.0
                          : plan->start_scale * noise(i) + plan->start_clean * image(i);
}

static void step(const struct plan *plan, int e, int drawn, bool mask, int i, double *slots) {
  const struct plan_row *row = &plan->row[e];
  double seen = slots[0] * row->input_scale;
  double output = seen / (1.0 + fabs(seen)) + row->timestep / 2000.0;
  advance(plan, row, output, row->needs_noise ? sin(i + 7 * drawn) : 0.0, slots);
  if (mask && i % 2 == 1) {
    slots[0] = row->keep_clean * image(i) + row->keep_begun * noise(i);
  }
}

/* Runs a plan on the made-up model of goldens_make.py. */
static void run(const struct plan *plan, bool mask, double slots[VALUES][SAMPLE_SLOTS_MAX]) {
  int drawn = 0;
  for (int i = 0; i < VALUES; i++) {
    memset(slots[i], 0, sizeof slots[i]);
    slots[i][0] = beginning(plan, i);
  }
  for (int e = 0; e < plan->rows; e++) {
    drawn += plan->row[e].needs_noise;
    for (int i = 0; i < VALUES; i++) {
      step(plan, e, drawn, mask, i, slots[i]);
    }
  }
}

/* diffusers computes a step in f32 as x + (x - x0)/sigma * (sigma' - sigma): with the huge sigmas
 * of zero terminal SNR and of the cosine schedule it loses three digits there, and the bar for
 * those rows is its error, not ours. */
static double tolerance(const struct golden *golden) {
  return golden->rescale_zero_snr || golden->betas == BETAS_SQUARED_COSINE ? 4e-3 : 2e-4;
}

static void near(const struct golden *golden, const char *what, double got, double want,
                 double bar) {
  if (!(fabs(got - want) <= bar)) {
    fail_msg("goldens.def row %d, %s with %d steps: %s is %.7g, want %.7g within %.2g",
             (int)(golden - goldens) + 1, golden->sampler, golden->steps, what, got, want, bar);
  }
}

static void make(struct arena *arena, const struct golden *golden, struct plan *plan) {
  struct noise_facts facts = {.train_timesteps = 1000,
                              .beta_start = 0.00085,
                              .beta_end = 0.012,
                              .beta_schedule = golden->betas,
                              .prediction = golden->prediction,
                              .steps_offset = golden->steps_offset,
                              .final_alpha = golden->final_alpha,
                              .rescale_zero_snr = golden->rescale_zero_snr};
  static struct noise_levels levels;
  /* Half of the spacings are the model's, half the job's. */
  bool own = (golden - goldens) % 2 == 0;
  facts.spacing = own ? golden->spacing : SPACING_DEFAULT;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct plan_request request = {.levels = &levels,
                                 .sampler = golden->sampler,
                                 .schedule = golden->schedule,
                                 .spacing = own ? SPACING_DEFAULT : golden->spacing,
                                 .steps = golden->steps,
                                 .eta = golden->eta,
                                 .image = golden->image,
                                 .strength = golden->strength,
                                 .begin = golden->begin,
                                 .end = golden->end};
  if (plan_make(arena, &request, plan) != OK) {
    fail_msg("goldens.def row %d: %s", (int)(golden - goldens) + 1, fail_reason());
  }
}

static void check(struct arena *arena, const struct golden *golden) {
  struct plan plan;
  make(arena, golden, &plan);
  near(golden, "rows", plan.rows, golden->rows, 0.0);
  near(golden, "first timestep", plan.row[0].timestep, golden->first_timestep, 1e-3);
  near(golden, "last timestep", plan.row[plan.rows - 1].timestep, golden->last_timestep, 1e-3);

  static double slots[VALUES][SAMPLE_SLOTS_MAX];
  run(&plan, golden->mask, slots);
  double sum = 0.0;
  for (int i = 0; i < VALUES; i++) {
    sum += fabs(slots[i][0]);
  }
  double scale = fmax(sum / VALUES, 1e-3);
  double bar = tolerance(golden);
  near(golden, "the sum", sum, golden->sum, bar * fmax(sum, 1e-3));
  near(golden, "value 0", slots[0][0], golden->first, 4 * bar * fmax(scale, fabs(golden->first)));
  near(golden, "value 1", slots[1][0], golden->second, 4 * bar * fmax(scale, fabs(golden->second)));
}

static void every_sampler_agrees_with_diffusers(void **state) {
  (void)state;
  struct arena *arena = NULL;
  assert_int_equal(arena_open(NULL, 4 << 20, &arena), OK);
  for (size_t i = 0; i < GOLDENS; i++) {
    check(arena, &goldens[i]);
    arena_drop(arena);
  }
  arena_close(&arena);
}

static void every_sampler_has_goldens(void **state) {
  (void)state;
  for (size_t s = 0; s < sampler_count; s++) {
    size_t rows = 0;
    for (size_t i = 0; i < GOLDENS; i++) {
      rows += strcmp(goldens[i].sampler, samplers[s].name) == 0;
    }
    assert_true(rows >= 20);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_sampler_agrees_with_diffusers),
      cmocka_unit_test(every_sampler_has_goldens),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
