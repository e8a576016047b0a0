/* fuzz_plan.c - any facts of a scheduler's config and any request: refused with a reason that
 * names a field, or a plan whose every number is finite and within its bounds. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "worker/sampler/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes of the input one after another, then zeros. */
struct input {
  const uint8_t *data;
  size_t size;
};
static void take(struct input *input, void *value, size_t bytes) {
  size_t there = bytes < input->size ? bytes : input->size;
  memset(value, 0, bytes);
  if (there > 0) {
    memcpy(value, input->data, there);
  }
  input->data += there;
  input->size -= there;
}
static int take_int(struct input *input) {
  int16_t value;
  take(input, &value, sizeof value);
  return value;
}
/* 0 to 2 in steps of 1/128, or, behind the byte 255, any double there is. */
static double take_part(struct input *input) {
  uint8_t byte;
  double any;
  take(input, &byte, sizeof byte);
  if (byte != 255) {
    return byte / 128.0;
  }
  take(input, &any, sizeof any);
  return any;
}

static struct noise_facts facts_of(struct input *input) {
  struct noise_facts facts = {.train_timesteps = take_int(input)};
  facts.beta_start = take_part(input) / 64;
  facts.beta_end = take_part(input) / 8;
  facts.beta_schedule = (enum beta_schedule)((unsigned)take_int(input) % 3);
  facts.prediction = (enum prediction)((unsigned)take_int(input) % 3);
  facts.spacing = (enum spacing)((unsigned)take_int(input) % 4);
  facts.steps_offset = take_int(input);
  facts.final_alpha = (enum final_alpha)((unsigned)take_int(input) % 3);
  facts.rescale_zero_snr = take_int(input) % 2 == 0;
  facts.original_steps = take_int(input);
  return facts;
}

static struct plan_request request_of(struct input *input, const struct noise_levels *levels) {
  struct plan_request request = {.levels = levels};
  request.sampler = samplers[(unsigned)take_int(input) % sampler_count].name;
  request.schedule = (enum noise_schedule)take_int(input);
  request.spacing = (enum spacing)((unsigned)take_int(input) % 4);
  request.steps = take_int(input);
  request.eta = take_part(input);
  request.image = take_int(input) % 2 == 0;
  request.strength = take_part(input);
  request.begin = take_part(input);
  request.end = take_part(input);
  return request;
}

static void check(const struct plan *plan, const struct plan_request *request) {
  assert(plan->steps <= request->steps && plan->rows <= 2 * request->steps);
  assert(plan->slots >= 1 && plan->slots <= SAMPLE_SLOTS_MAX);
  assert(isfinite(plan->start_scale) && isfinite(plan->start_clean));
  for (int e = 0; e < plan->rows; e++) {
    const struct plan_row *row = &plan->row[e];
    assert(row->timestep >= 0.0f && isfinite(row->timestep) && isfinite(row->input_scale));
    assert(isfinite(row->keep_clean) && isfinite(row->keep_begun));
    assert(row->step >= 0 && row->step < plan->steps);
    for (int cell = 0; cell < plan->slots * (plan->slots + 2); cell++) {
      assert(isfinite(row->matrix[cell]));
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct noise_levels levels;
  static struct arena *arena;
  if (arena == NULL && arena_open(NULL, (size_t)4 << 20, &arena) != OK) {
    return 0;
  }
  struct input input = {data, size};
  struct noise_facts facts = facts_of(&input);
  if (noise_levels_make(&facts, &levels) != OK) {
    assert(strcmp(fail_field_name(), "config") == 0);
    return 0;
  }
  struct plan_request request = request_of(&input, &levels);
  struct plan plan;
  enum status status = plan_make(arena, &request, &plan);
  assert(status == OK || (status == BAD_INPUT && fail_field_name()[0] != '\0'));
  if (status == OK) {
    check(&plan, &request);
  }
  arena_drop(arena);
  return 0;
}
