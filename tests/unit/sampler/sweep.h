/* sweep.h - every sampler with every schedule that it has and every spacing, one after another. */
#ifndef DARKROOM_TESTS_SAMPLER_SWEEP_H
#define DARKROOM_TESTS_SAMPLER_SWEEP_H

#include <stdbool.h>

#include "worker/sampler/plan.h"

static struct noise_levels levels;
static struct arena *arena;

static inline int sweep_setup(void **state) {
  (void)state;
  return arena_open(NULL, 4 << 20, &arena) == OK ? 0 : -1;
}
static inline int sweep_teardown(void **state) {
  (void)state;
  arena_close(&arena);
  return 0;
}

static inline struct noise_facts sweep_facts(enum spacing spacing, enum prediction prediction) {
  return (struct noise_facts){.train_timesteps = 1000,
                              .beta_start = 0.00085,
                              .beta_end = 0.012,
                              .beta_schedule = BETAS_SCALED_LINEAR,
                              .spacing = spacing,
                              .prediction = prediction,
                              .steps_offset = spacing == SPACING_LEADING ? 1 : 0,
                              .final_alpha = FINAL_ALPHA_ONE};
}

struct sweep {
  size_t sampler;
  int schedule;
  int spacing;
  int at;
};

/* False past the last. */
static inline bool sweep_next(struct sweep *sweep) {
  enum { SCHEDULES = 4, SPACINGS = 4 };
  for (;; sweep->at++) {
    sweep->sampler = (size_t)sweep->at / (SCHEDULES * SPACINGS);
    sweep->schedule = sweep->at / SPACINGS % SCHEDULES + 1;
    sweep->spacing = sweep->at % SPACINGS;
    if (sweep->sampler >= sampler_count) {
      return false;
    }
    if (sweep->schedule == SCHEDULE_MODEL || samplers[sweep->sampler].any_schedule) {
      sweep->at++;
      return true;
    }
  }
}

/* The noise levels of Stable Diffusion, spaced as the sweep has it. */
static inline void sweep_levels(const struct sweep *sweep, enum prediction prediction) {
  struct noise_facts facts = sweep_facts((enum spacing)sweep->spacing, prediction);
  assert_int_equal(noise_levels_make(&facts, &levels), OK);
}

static inline struct plan_request sweep_request(const struct sweep *sweep, int steps) {
  struct plan_request request = plan_request_make(&levels, samplers[sweep->sampler].name, steps);
  request.schedule = (enum noise_schedule)sweep->schedule;
  return request;
}

#endif
