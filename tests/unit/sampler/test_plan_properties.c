/* test_plan_properties.c - what must hold for any plan, walked over all samplers, schedules,
 * spacings, predictions, strengths and 1..1000 steps. */
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

static void check_row(const struct plan *plan, int e, int train) {
  const struct plan_row *row = &plan->row[e];
  assert_true(row->timestep >= 0.0f && row->timestep <= (float)train);
  assert_true(row->input_scale > 0.0f && row->input_scale <= 1.0f);
  assert_true(e == 0 || row->timestep <= row[-1].timestep);
  assert_true(e == 0 || row->step == row[-1].step || row->step == row[-1].step + 1);
  assert_true(row->keep_clean > 0.0f && row->keep_clean <= 1.0f && row->keep_begun >= 0.0f);
  assert_true(e == 0 || row->keep_begun <= row[-1].keep_begun);
  for (int slot = 0; slot < plan->slots && !row->needs_noise; slot++) {
    assert_true(row->matrix[slot * (plan->slots + 2) + plan->slots + 1] == 0.0f);
  }
}

static void check_plan(const struct plan *plan, int train) {
  const struct plan_row *last = &plan->row[plan->rows - 1];
  assert_true(plan->rows >= plan->steps && plan->rows <= 2 * plan->steps);
  assert_true(plan->slots >= 1 && plan->slots <= SAMPLE_SLOTS_MAX);
  assert_true(plan->start_none || plan->start_scale > 0.0f);
  assert_int_equal(plan->row[0].step, 0);
  assert_int_equal(last->step, plan->steps - 1);
  for (int e = 0; e < plan->rows; e++) {
    check_row(plan, e, train);
  }
}

/* Either a sound plan or a refusal that names the steps; few steps are never refused. */
static void any_number_of_steps(void **state) {
  (void)state;
  int plans = 0;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    sweep_levels(&sweep, PREDICTION_EPSILON);
    for (int steps = 1; steps <= 1000; steps += steps < 60 ? 1 : 47) {
      struct plan plan;
      struct plan_request request = sweep_request(&sweep, steps);
      enum status status = plan_make(arena, &request, &plan);
      if (status == OK) {
        check_plan(&plan, levels.facts.train_timesteps);
        assert_int_equal(plan.steps, steps);
        assert_true(plan.row[plan.rows - 1].keep_clean == 1.0f);
        assert_true(plan.row[plan.rows - 1].keep_begun == 0.0f);
        plans++;
      } else {
        assert_int_equal(status, BAD_INPUT);
        assert_string_equal(fail_field_name(), "steps");
        assert_true(steps > (samplers[sweep.sampler].own_timesteps ? 50 : 900));
      }
      arena_drop(arena);
    }
  }
  assert_true(plans > 8000);
}

/* Every prediction, on an image, at every strength: sound, whatever is asked together. */
static void any_strength(void **state) {
  (void)state;
  int plans = 0;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    for (int prediction = PREDICTION_EPSILON; prediction <= PREDICTION_SAMPLE; prediction++) {
      sweep_levels(&sweep, (enum prediction)prediction);
      for (int k = 0; k < 24; k++) {
        struct plan plan;
        struct plan_request request = sweep_request(&sweep, 1 + (k * 7) % 60);
        request.image = true;
        request.strength = (k * 13 % 24 + 1) / 24.0;
        request.eta = samplers[sweep.sampler].uses_eta ? k % 3 / 2.0 : 0.0;
        enum status status = plan_make(arena, &request, &plan);
        if (status == OK) {
          check_plan(&plan, levels.facts.train_timesteps);
          assert_true(plan.start_clean > 0.0f);
          plans++;
        } else { /* too few of them, or more than a grid has at this strength */
          bool grid = samplers[sweep.sampler].own_timesteps;
          assert_string_equal(fail_field_name(), grid ? "steps" : "strength");
          assert_true(grid ? request.steps > (int)(50 * request.strength)
                           : request.steps * request.strength < 1.0);
        }
        arena_drop(arena);
      }
    }
  }
  assert_true(plans > 8000);
}

/* ---- a model that knows ---- */

/* What the U-Net says of x = clean (1) + noise (1/2) when it knows both. */
static double knowing(enum prediction prediction, double clean, double noise) {
  double norm = sqrt(clean * clean + noise * noise);
  switch (prediction) {
    case PREDICTION_EPSILON:
      return 0.5;
    case PREDICTION_V:
      return (clean * 0.5 - noise * 1.0) / norm;
    case PREDICTION_SAMPLE:
      break;
  }
  return 1.0;
}

/* With a model that knows, a sampler without fresh noise stays on the line: after each row slot 0
 * is as noisy as add_noise makes the picture there, whatever the order of the method. */
static void check_line(const struct plan *plan, enum prediction prediction, int rows) {
  double slots[SAMPLE_SLOTS_MAX] = {0};
  double clean = plan->start_clean, noise = plan->start_scale;
  slots[0] = clean + noise * 0.5;
  for (int e = 0; e < rows; e++) {
    const struct plan_row *row = &plan->row[e];
    advance(plan, row, knowing(prediction, clean, noise), 0.0, slots);
    clean = row->keep_clean;
    noise = row->keep_begun;
    double want = clean + noise * 0.5;
    if (!(fabs(slots[0] - want) <= 2e-4 * fmax(fabs(want), 1.0))) {
      fail_msg("row %d of %d: %.7g, want %.7g", e, plan->rows, slots[0], want);
    }
  }
}

/* PNDM mixes outputs of several timesteps, which only as noise are the same; it and LMS begin with
 * a history that they do not have where they begin within the list. DDIM's and PNDM's steps go
 * where the next one looks with leading spacing. TCD ends at the first timestep's level. */
static const struct knower {
  const char *sampler;
  bool noise_only, whole_only, leading_only, short_of_end;
} knowers[] = {{"euler", false, false, false, false},    {"ddim", false, false, true, false},
               {"dpmpp_2m", false, false, false, false}, {"pndm", true, true, true, false},
               {"lms", false, true, false, false},       {"heun", false, false, false, false},
               {"unipc", false, false, false, false},    {"tcd", false, false, false, true}};

static void check_knower(const struct knower *knower, const struct sweep *sweep,
                         enum prediction prediction) {
  sweep_levels(sweep, prediction);
  for (int steps = 1; steps <= 45; steps += 4) {
    for (int k = knower->whole_only ? 4 : 1; k <= 4; k++) {
      struct plan plan;
      struct plan_request request = sweep_request(sweep, steps);
      request.image = true;
      request.strength = k / 4.0;
      if (plan_make(arena, &request, &plan) == OK) {
        check_line(&plan, prediction, plan.rows - knower->short_of_end);
      }
      arena_drop(arena);
    }
  }
}

static void a_knowing_model_gets_its_image(void **state) {
  (void)state;
  int known = 0;
  for (struct sweep sweep = {0}; sweep_next(&sweep);) {
    for (size_t i = 0; i < sizeof knowers / sizeof knowers[0]; i++) {
      const struct knower *knower = &knowers[i];
      bool goes = strcmp(knower->sampler, samplers[sweep.sampler].name) == 0 &&
                  (!knower->leading_only || sweep.spacing == SPACING_LEADING);
      int last = knower->noise_only ? PREDICTION_EPSILON : PREDICTION_SAMPLE;
      for (int prediction = PREDICTION_EPSILON; goes && prediction <= last; prediction++) {
        check_knower(knower, &sweep, (enum prediction)prediction);
        known++;
      }
    }
  }
  assert_true(known > 100);
}

/* ---- noise ---- */

/* A sampler that draws makes use of what it drew, but for a last row where diffusers draws in vain.
 */
static void fresh_noise_is_used(void **state) {
  (void)state;
  static const struct {
    const char *sampler;
    double eta;
    int idle; /* rows at the end that draw nothing, or in vain */
  } rows[] = {{"euler_a", 0.0, 1},   {"ddim", 1.0, 1}, {"ddpm", 0.0, 1}, {"dpmpp_2m_sde", 0.0, 1},
              {"dpmpp_sde", 0.0, 1}, {"lcm", 0.0, 1},  {"tcd", 0.3, 1}};
  struct noise_facts facts = sweep_facts(SPACING_LEADING, PREDICTION_EPSILON);
  facts.steps_offset = 0;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct plan plan;
    struct plan_request request = plan_request_make(&levels, rows[i].sampler, 10);
    request.eta = rows[i].eta;
    assert_int_equal(plan_make(arena, &request, &plan), OK);
    for (int e = 0; e < plan.rows; e++) {
      float up = plan.row[e].matrix[plan.slots + 1];
      assert_true(e < plan.rows - rows[i].idle ? plan.row[e].needs_noise && up > 0.0f : up < 1e-6f);
    }
    arena_drop(arena);
  }
}

/* The last step of LCM, of TCD and of the single-step SDE draws nothing, nor does DDPM's at
 * timestep 0: the next draw of the picture's generator would be another. */
static void the_last_draw_is_not_made(void **state) {
  (void)state;
  static const char *const names[] = {"lcm", "tcd", "dpmpp_sde", "ddpm"};
  struct noise_facts facts = sweep_facts(SPACING_LEADING, PREDICTION_EPSILON);
  facts.steps_offset = 0;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    struct plan plan;
    struct plan_request request = plan_request_make(&levels, names[i], 8);
    request.eta = i == 1 ? 1.0 : 0.0;
    assert_int_equal(plan_make(arena, &request, &plan), OK);
    assert_false(plan.row[plan.rows - 1].needs_noise);
    assert_true(plan.row[plan.rows - 2].needs_noise);
    arena_drop(arena);
  }
}

static void the_largest_numbers_of_steps(void **state) {
  (void)state;
  static const struct {
    const char *sampler;
    enum spacing spacing;
    int most; /* with steps_offset 0 and 1000 training timesteps */
  } rows[] = {{"ddim", SPACING_LEADING, 1000},     {"ddim", SPACING_LINSPACE, 1000},
              {"ddim", SPACING_TRAILING, 1000},    {"euler", SPACING_LINSPACE, 1000},
              {"euler", SPACING_LEADING, 1000},    {"dpmpp_2m", SPACING_LEADING, 999},
              {"dpmpp_2m", SPACING_LINSPACE, 999}, {"dpmpp_2m", SPACING_TRAILING, 1000},
              {"unipc", SPACING_LINSPACE, 999},    {"heun", SPACING_LEADING, 1000},
              {"lcm", SPACING_LEADING, 50},        {"tcd", SPACING_TRAILING, 50}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct noise_facts facts = sweep_facts(rows[i].spacing, PREDICTION_EPSILON);
    facts.steps_offset = 0;
    assert_int_equal(noise_levels_make(&facts, &levels), OK);
    struct plan plan;
    struct plan_request request = plan_request_make(&levels, rows[i].sampler, rows[i].most);
    assert_int_equal(plan_make(arena, &request, &plan), OK);
    arena_drop(arena);
    request.steps++;
    assert_int_equal(plan_make(arena, &request, &plan), BAD_INPUT);
    assert_string_equal(fail_field_name(), "steps");
    arena_drop(arena);
  }
}

/* rescale_zero_snr: v-prediction works with all samplers; epsilon says nothing about pure noise,
 * and what divides by alpha refuses. */
static void zero_terminal_snr(void **state) {
  (void)state;
  static const char *const dividing[] = {"ddim", "ddpm", "pndm", "lcm", "tcd"};
  struct noise_facts facts = sweep_facts(SPACING_TRAILING, PREDICTION_V);
  facts.rescale_zero_snr = true;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct plan plan;
  for (size_t s = 0; s < sampler_count; s++) {
    struct plan_request request = plan_request_make(&levels, samplers[s].name, 20);
    assert_int_equal(plan_make(arena, &request, &plan), OK);
    arena_drop(arena);
  }
  facts.prediction = PREDICTION_EPSILON;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  for (size_t i = 0; i < sizeof dividing / sizeof dividing[0]; i++) {
    struct plan_request request = plan_request_make(&levels, dividing[i], 20);
    assert_int_equal(plan_make(arena, &request, &plan), BAD_INPUT);
    assert_string_equal(fail_field_name(), "sampler");
    arena_drop(arena);
  }
}

static void memory_runs_out_politely(void **state) {
  (void)state;
  struct noise_facts facts = sweep_facts(SPACING_DEFAULT, PREDICTION_EPSILON);
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct arena *small = NULL;
  assert_int_equal(arena_open(NULL, 1024, &small), OK);
  for (size_t s = 0; s < sampler_count; s++) {
    struct plan_request request = plan_request_make(&levels, samplers[s].name, 20);
    struct plan plan;
    assert_int_equal(plan_make(small, &request, &plan), EXHAUSTED);
  }
  arena_close(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_number_of_steps),
      cmocka_unit_test(any_strength),
      cmocka_unit_test(a_knowing_model_gets_its_image),
      cmocka_unit_test(fresh_noise_is_used),
      cmocka_unit_test(the_last_draw_is_not_made),
      cmocka_unit_test(the_largest_numbers_of_steps),
      cmocka_unit_test(zero_terminal_snr),
      cmocka_unit_test(memory_runs_out_politely),
  };
  return cmocka_run_group_tests(tests, sweep_setup, sweep_teardown);
}
