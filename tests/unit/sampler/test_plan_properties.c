/* test_plan_properties.c - what must hold for any plan, walked over all samplers, spacings
 * and 1..1000 steps. */
#include "worker/sampler/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sampler/advance.h"

static struct noise_levels levels;
static struct arena *arena;

static struct noise_facts stable_diffusion(void) {
  return (struct noise_facts){.train_timesteps = 1000,
                              .beta_start = 0.00085,
                              .beta_end = 0.012,
                              .beta_schedule = BETAS_SCALED_LINEAR,
                              .final_alpha = FINAL_ALPHA_ONE};
}

static enum status make(const char *sampler, bool karras, int steps, struct plan *plan) {
  struct plan_request request = plan_request_make(&levels, sampler, steps);
  request.schedule = karras ? SCHEDULE_KARRAS : SCHEDULE_MODEL;
  return plan_make(arena, &request, plan);
}

/* A model that always knows the clean image: x = scale (1 c + sigma e) with c = 1, e = 0.5 needs no
 * more than the noise level to answer, and every sampler must then end in c whatever its steps.
 * Only for plans without fresh noise. */
static double end_of_a_knowing_model(const struct plan *plan, bool grows) {
  double slots[SAMPLE_SLOTS_MAX] = {0};
  double sigma_first =
      grows ? sqrt(1.0 / ((double)plan->row[0].input_scale * plan->row[0].input_scale) - 1.0) : 0.0;
  double clean = 1.0;
  for (int e = 0; e < plan->rows; e++) {
    const struct plan_row *row = &plan->row[e];
    double sigma = grows ? sqrt(1.0 / ((double)row->input_scale * row->input_scale) - 1.0)
                         : levels.sigma[(int)row->timestep];
    double scale = grows ? 1.0 : 1.0 / sqrt(sigma * sigma + 1.0);
    if (e == 0) {
      slots[0] = grows ? clean + sigma_first * 0.5 : scale * (clean + sigma * 0.5);
    }
    double epsilon = (slots[0] / scale - clean) / sigma;
    advance(plan, row, epsilon, 0.0, slots);
  }
  return slots[0];
}

static void check_plan(const struct plan *plan, int steps, int train) {
  assert_true(plan->rows >= steps && plan->steps == steps);
  assert_true(plan->slots >= 1 && plan->slots <= SAMPLE_SLOTS_MAX);
  assert_true(plan->start_scale > 0.0f);
  for (int e = 0; e < plan->rows; e++) {
    assert_true(plan->row[e].timestep >= 0.0f && plan->row[e].timestep <= (float)train);
    assert_true(plan->row[e].input_scale > 0.0f && plan->row[e].input_scale <= 1.0f);
    assert_true(e == 0 || plan->row[e].timestep <= plan->row[e - 1].timestep);
    assert_true(e == 0 || plan->row[e].step >= plan->row[e - 1].step);
  }
  assert_int_equal(plan->row[plan->rows - 1].step, steps - 1);
}

/* Either a sound plan or a refusal that names the steps; few steps are never refused. */
static void any_number_of_steps(void **state) {
  (void)state;
  for (size_t s = 0; s < sampler_count; s++) {
    for (int spacing = SPACING_DEFAULT; spacing <= SPACING_TRAILING; spacing++) {
      struct noise_facts facts = stable_diffusion();
      facts.spacing = (enum spacing)spacing;
      facts.steps_offset = spacing == SPACING_LEADING ? 1 : 0;
      assert_int_equal(noise_levels_make(&facts, &levels), OK);
      for (int karras = 0; karras <= samplers[s].any_schedule; karras++) {
        for (int steps = 1; steps <= 1000; steps += steps < 60 ? 1 : 47) {
          struct plan plan;
          enum status status = make(samplers[s].name, karras == 1, steps, &plan);
          if (status == OK) {
            check_plan(&plan, steps, facts.train_timesteps);
          } else {
            assert_int_equal(status, BAD_INPUT);
            assert_string_equal(fail_field_name(), "steps");
            assert_true(steps > (samplers[s].own_timesteps ? 50 : 900));
          }
          arena_drop(arena);
        }
      }
    }
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
              {"dpmpp_2m", SPACING_LINSPACE, 999}, {"dpmpp_2m", SPACING_TRAILING, 1000}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct noise_facts facts = stable_diffusion();
    facts.spacing = rows[i].spacing;
    assert_int_equal(noise_levels_make(&facts, &levels), OK);
    struct plan plan;
    assert_int_equal(make(rows[i].sampler, false, rows[i].most, &plan), OK);
    arena_drop(arena);
    assert_int_equal(make(rows[i].sampler, false, rows[i].most + 1, &plan), BAD_INPUT);
    assert_string_equal(fail_field_name(), "steps");
    arena_drop(arena);
  }
}

static void a_knowing_model_gets_its_image(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  static const char *const names[] = {"euler", "ddim", "dpmpp_2m"};
  for (size_t i = 0; i < 3; i++) {
    for (int steps = 1; steps <= 999; steps += steps < 40 ? 1 : 83) {
      struct plan plan;
      assert_int_equal(make(names[i], false, steps, &plan), OK);
      /* DDIM's last stride may jump over the first timesteps: then it ends between the levels, near
       * the image. */
      double tolerance = i == 1 ? 2e-3 : 1e-3;
      assert_float_equal(end_of_a_knowing_model(&plan, i == 0), 1.0, tolerance);
      arena_drop(arena);
    }
  }
}

/* rescale_zero_snr: v-prediction works with all samplers; epsilon says nothing about pure noise,
 * and DDIM refuses. */
static void zero_terminal_snr(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  facts.rescale_zero_snr = true;
  facts.spacing = SPACING_TRAILING;
  facts.prediction = PREDICTION_V;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct plan plan;
  for (size_t s = 0; s < sampler_count; s++) {
    assert_int_equal(make(samplers[s].name, false, 20, &plan), OK);
  }
  facts.prediction = PREDICTION_EPSILON;
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  assert_int_equal(make("ddim", false, 20, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "sampler");
}

static void refusals_name_the_field(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct plan plan;
  assert_int_equal(make("no_such", false, 20, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "sampler");
  assert_non_null(strstr(fail_reason(), "euler, euler_a, ddim, dpmpp_2m"));
  assert_int_equal(make("ddim", true, 20, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "noise_schedule");
  assert_int_equal(make("euler", false, 0, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "steps");
  assert_int_equal(make("euler", false, 1001, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "steps");
  facts.train_timesteps = 1; /* one noise level for two steps */
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  assert_int_equal(make("euler", false, 1, &plan), OK);
  assert_int_equal(make("euler", false, 2, &plan), BAD_INPUT);
  assert_string_equal(fail_field_name(), "steps");
}

static void memory_runs_out_politely(void **state) {
  (void)state;
  struct noise_facts facts = stable_diffusion();
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
  struct arena *small = NULL;
  assert_int_equal(arena_open(NULL, 1024, &small), OK);
  struct plan_request request = plan_request_make(&levels, "euler", 20);
  struct plan plan;
  assert_int_equal(plan_make(small, &request, &plan), EXHAUSTED);
  arena_close(&small);
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
      cmocka_unit_test(any_number_of_steps),
      cmocka_unit_test(the_largest_numbers_of_steps),
      cmocka_unit_test(a_knowing_model_gets_its_image),
      cmocka_unit_test(zero_terminal_snr),
      cmocka_unit_test(refusals_name_the_field),
      cmocka_unit_test(memory_runs_out_politely),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
