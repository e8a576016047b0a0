/* test_part.c - parts of a run: strength, what two models do one after the other, and a run that is
 * written down after any row and taken up elsewhere; and requests that are refused. */
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sampler/advance.h"
#include "tests/unit/sampler/sweep.h"

static double model(double seen, double t) { return seen / (1 + fabs(seen)) + t / 2000; }

/* Rows from `first` on, with the k-th draw of the whole run being sin(7 k). */
static void run(const struct plan *plan, int first, int *drawn, double slots[SAMPLE_SLOTS_MAX]) {
  for (int e = first; e < plan->rows; e++) {
    const struct plan_row *row = &plan->row[e];
    *drawn += row->needs_noise;
    advance(plan, row, model(slots[0] * row->input_scale, row->timestep),
            row->needs_noise ? sin(7 * *drawn) : 0.0, slots);
  }
}

static void make(const struct plan_request *request, struct plan *plan) {
  if (plan_make(arena, request, plan) != OK) {
    fail_msg("%s with %d steps: %s", request->sampler, request->steps, fail_reason());
  }
}

/* ---- strength ---- */

static void strength_zero_leaves_the_image(void **state) {
  (void)state;
  struct plan plan;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    sweep_levels(&sweep, PREDICTION_EPSILON);
    struct plan_request request = sweep_request(&sweep, 20);
    request.image = true;
    request.strength = 0.0;
    make(&request, &plan);
    assert_int_equal(plan.rows, 0);
    assert_int_equal(plan.steps, 0);
    assert_true(plan.start_clean == 1.0f && plan.start_scale == 0.0f && !plan.start_none);
  }
}

/* int(steps * strength) steps, the last ones, noised as the first of them expects it; LCM and TCD
 * make all of them, from lower down. */
static void check_grid(const struct plan_request *request) {
  struct plan part;
  make(request, &part);
  assert_int_equal(part.steps, request->steps);
  assert_true(part.row[0].timestep == (float)((int)(50 * request->strength) * 20 - 1));
}

static void check_last_steps(const struct plan_request *request, const struct plan *whole) {
  struct plan part;
  make(request, &part);
  assert_int_equal(part.steps, (int)(request->steps * request->strength));
  const struct plan_row *first = &whole->row[whole->rows - part.rows];
  assert_true(part.row[0].timestep == first->timestep);
  assert_true(part.row[0].input_scale == first->input_scale);
  assert_true(first == whole->row || part.start_clean == first[-1].keep_clean);
  assert_true(first == whole->row || part.start_scale == first[-1].keep_begun);
}

static void strength_takes_the_last_steps(void **state) {
  (void)state;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    bool grid = samplers[sweep.sampler].own_timesteps;
    sweep_levels(&sweep, PREDICTION_EPSILON);
    for (int k = 1; k <= 20; k++) {
      struct plan whole;
      struct plan_request request = sweep_request(&sweep, grid ? 2 : 20);
      make(&request, &whole);
      request.image = true;
      request.strength = k / 20.0;
      grid ? check_grid(&request) : check_last_steps(&request, &whole);
      arena_drop(arena);
    }
  }
}

/* ---- two models ---- */

/* A base to `end` and a refiner from there make every row once. Methods of two rows a step are cut
 * where diffusers cuts them: the refiner looks again at the step that the base's last row began. */
static void two_parts_are_the_whole(void **state) {
  (void)state;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    sweep_levels(&sweep, PREDICTION_EPSILON);
    for (int k = 1; k < 10; k++) {
      struct plan whole, base, refiner;
      struct plan_request request = sweep_request(&sweep, 30);
      make(&request, &whole);
      request.end = k / 10.0;
      make(&request, &base);
      request.end = 1.0;
      request.begin = k / 10.0;
      make(&request, &refiner);
      int shared = base.rows + refiner.rows - whole.rows;
      assert_true(shared == 0 || (shared == 1 && whole.rows > 31));
      assert_true(refiner.start_none && refiner.start_scale == 0.0f && refiner.start_clean == 0.0f);
      assert_true(base.start_scale == whole.start_scale);
      assert_true(refiner.row[0].timestep == whole.row[base.rows - shared].timestep);
      arena_drop(arena);
    }
  }
}

/* Samplers without memory go on where the other stopped: the same numbers. */
static void what_has_no_memory_is_handed_over_exactly(void **state) {
  (void)state;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    struct plan whole, base, refiner;
    double one[SAMPLE_SLOTS_MAX] = {0}, two[SAMPLE_SLOTS_MAX] = {0};
    int drawn = 0, drawn_again = 0;
    sweep_levels(&sweep, PREDICTION_V);
    struct plan_request request = sweep_request(&sweep, 25);
    make(&request, &whole);
    request.end = 0.7;
    make(&request, &base);
    request.end = 1.0;
    request.begin = 0.7;
    make(&request, &refiner);
    if (whole.slots == 1) {
      one[0] = two[0] = whole.start_scale * 0.3;
      run(&whole, 0, &drawn, one);
      run(&base, 0, &drawn_again, two);
      run(&refiner, 0, &drawn_again, two);
      assert_memory_equal(one, two, sizeof one);
    }
    arena_drop(arena);
  }
}

/* ---- written down and taken up ---- */

/* Slots, cursor and draws are the whole state: a plan made anew goes on from them. */
static void any_row_is_taken_up(void **state) {
  (void)state;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    struct plan plan, again;
    double want[SAMPLE_SLOTS_MAX] = {0}, slots[SAMPLE_SLOTS_MAX] = {0};
    int drawn = 0;
    sweep_levels(&sweep, PREDICTION_EPSILON);
    struct plan_request request = sweep_request(&sweep, 9);
    make(&request, &plan);
    want[0] = slots[0] = plan.start_scale * 0.7;
    run(&plan, 0, &drawn, want);
    drawn = 0;
    for (int e = 0; e < plan.rows; e++) {
      double kept[SAMPLE_SLOTS_MAX] = {0};
      int kept_drawn = drawn;
      memcpy(kept, slots, (size_t)plan.slots * sizeof kept[0]);
      make(&request, &again);
      run(&again, e, &kept_drawn, kept);
      assert_memory_equal(kept, want, sizeof kept);
      struct plan row = {.rows = 1, .slots = plan.slots, .row = &plan.row[e]};
      run(&row, 0, &drawn, slots);
    }
    arena_drop(arena);
  }
}

/* ---- refusals ---- */

static void refused(const struct plan_request *request, const char *field) {
  struct plan plan;
  assert_int_equal(plan_make(arena, request, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), field);
}

static struct plan_request standard(const char *sampler) {
  struct noise_facts facts = sweep_facts(SPACING_DEFAULT, PREDICTION_EPSILON);
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  return plan_request_make(&levels, sampler, 20);
}

static void samplers_are_refused_by_name(void **state) {
  (void)state;
  struct plan_request request = standard("no_such");
  refused(&request, "sampler");
  assert_non_null(strstr(fail_reason(), "euler, euler_a, ddim, dpmpp_2m, ddpm, pndm, lms, heun, "));
  assert_non_null(strstr(fail_reason(), "lcm, tcd"));
  request = standard("ddim");
  request.schedule = SCHEDULE_KARRAS;
  refused(&request, "noise_schedule");
  assert_string_equal(fail_reason(), "ddim has no karras schedule");
  request = standard("euler");
  request.schedule = (enum noise_schedule)9;
  refused(&request, "noise_schedule");
  request.schedule = (enum noise_schedule)0;
  refused(&request, "noise_schedule");
  request = standard("lcm");
  request.spacing = SPACING_TRAILING;
  refused(&request, "spacing");
}

static void steps_are_refused(void **state) {
  (void)state;
  struct plan_request request = standard("euler");
  request.steps = 0;
  refused(&request, "steps");
  request.steps = 1001;
  refused(&request, "steps");
  struct noise_facts facts = levels.facts;
  facts.train_timesteps = 1; /* one noise level for two steps */
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  request.steps = 2;
  refused(&request, "steps");
  struct plan plan;
  request.steps = 1;
  make(&request, &plan);
}

/* A model with fewer timesteps than the grid that LCM and TCD are distilled on has none. */
static void a_grid_wants_timesteps(void **state) {
  (void)state;
  struct plan_request request = standard("lcm");
  struct noise_facts facts = levels.facts;
  struct plan plan;
  facts.train_timesteps = 49;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  request.steps = 1;
  refused(&request, "sampler");
  assert_string_equal(fail_reason(), "lcm's grid of 50 is finer than 49 training timesteps");
  request.sampler = "tcd";
  refused(&request, "sampler");
  facts.original_steps = 7;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  make(&request, &plan);
  assert_true(plan.row[0].timestep == 48.0f);
  request.steps = 8;
  refused(&request, "steps");
}

static void eta_is_refused(void **state) {
  (void)state;
  static const double wrong[] = {-0.1, 1.01, NAN, INFINITY};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct plan_request request = standard("ddim");
    request.eta = wrong[i];
    refused(&request, "eta");
  }
  struct plan_request request = standard("euler");
  request.eta = 0.5;
  refused(&request, "eta");
  assert_string_equal(fail_reason(), "euler has no eta");
}

static void parts_are_refused(void **state) {
  (void)state;
  static const double wrong[] = {-0.1, 1.01, NAN};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    struct plan_request request = standard("euler");
    request.image = true;
    request.strength = wrong[i];
    refused(&request, "strength");
    request = standard("euler");
    request.begin = wrong[i];
    refused(&request, "denoising");
    request = standard("euler");
    request.end = wrong[i];
    refused(&request, "denoising");
  }
  struct plan_request request = standard("euler");
  request.strength = 0.5; /* of what? */
  refused(&request, "strength");
  request.image = true;
  request.strength = 0.04; /* not one of 20 steps */
  refused(&request, "strength");
  request = standard("euler");
  request.begin = 0.5;
  request.end = 0.5;
  refused(&request, "denoising");
  request.begin = 1.0;
  request.end = 1.0;
  refused(&request, "denoising");
  request.begin = 0.0;
  request.end = 0.0;
  refused(&request, "denoising");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strength_zero_leaves_the_image),
      cmocka_unit_test(strength_takes_the_last_steps),
      cmocka_unit_test(two_parts_are_the_whole),
      cmocka_unit_test(what_has_no_memory_is_handed_over_exactly),
      cmocka_unit_test(any_row_is_taken_up),
      cmocka_unit_test(samplers_are_refused_by_name),
      cmocka_unit_test(steps_are_refused),
      cmocka_unit_test(a_grid_wants_timesteps),
      cmocka_unit_test(eta_is_refused),
      cmocka_unit_test(parts_are_refused),
  };
  return cmocka_run_group_tests(tests, sweep_setup, sweep_teardown);
}
