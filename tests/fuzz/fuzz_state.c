/* fuzz_state.c - the written state of a sample: nothing crashes, and what is accepted belongs to
 * the plan, has the bytes of its place in it, and only numbers. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/device.h"
#include "worker/engine/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what record.c asks of its neighbours, without a device ---- */

enum { ROWS = 3, CELLS = 4, CHANNELS = 1, SLOTS = 2 };

const struct stage *recipe_ground(const struct recipe *recipe, int stage) {
  assert(stage >= 0 && stage < recipe->stages);
  return &recipe->stage[stage];
}
size_t latent_bytes(const struct stage *stage) {
  return (size_t)stage_cells(stage) * CHANNELS * sizeof(float);
}
int latent_channels(const struct stage *stage) {
  (void)stage;
  return CHANNELS;
}
int64_t stage_cells(const struct stage *stage) {
  return (int64_t)stage->latent_width * stage->latent_height;
}
struct stage *sample_stage(const struct sample *sample) {
  return &sample->task->recipe->stage[sample->stage];
}
enum status sample_enter(struct sample *sample, int stage) {
  sample->stage = stage;
  return OK;
}
enum status device_wait(struct device *device) {
  (void)device;
  return OK;
}
enum status device_get(struct device *device, const struct tensor *tensor, void *out,
                       size_t bytes) {
  (void)device;
  memcpy(out, tensor->data, bytes);
  return OK;
}
enum status device_put(struct device *device, const void *data, size_t bytes,
                       const struct tensor *tensor) {
  (void)device;
  memcpy(tensor->data, data, bytes);
  return OK;
}

/* ---- a job of two stages: with noise and a mask that keeps, and with planes ---- */

static struct resident resident = {.id = "fuzzed"};
static struct recipe recipe;
static struct task task;
static float slots[SLOTS * CELLS], noise[CELLS], clean[CELLS], begun[CELLS], planes[5 * CELLS];

static struct tensor of(float *data, int64_t count) {
  return (struct tensor){
      .data = data, .element = ELEMENT_F32, .rank = 1, .shape = {count, 1, 1, 1}};
}

static struct sample a_sample(int stage) {
  struct sample sample = {.task = &task, .stage = stage, .slots = of(slots, SLOTS * CELLS)};
  sample.noise = of(noise, CELLS);
  if (stage == 0) {
    sample.clean = of(clean, CELLS);
    sample.begun = of(begun, CELLS);
  } else {
    sample.planes = of(planes, (int64_t)5 * CELLS);
  }
  return sample;
}

static struct plan_row rows[2][ROWS];

static void make_recipe(void) {
  recipe = (struct recipe){.stages = 2, .slots = SLOTS};
  task = (struct task){.taken = true, .recipe = &recipe};
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < ROWS; k++) {
      rows[i][k] =
          (struct plan_row){.timestep = 100.0f * (float)(k + i), .needs_noise = k != 1, .step = k};
    }
    recipe.stage[i] = (struct stage){.resident = &resident,
                                     .keeps = i == 0,
                                     .planes = i == 1 ? 5 : 0,
                                     .latent_width = 2,
                                     .latent_height = 2};
    recipe.stage[i].plan = (struct plan){.rows = ROWS, .slots = SLOTS, .row = rows[i]};
  }
}

/* What is accepted is written down again, byte for byte. */
static void check(const uint8_t *state, size_t bytes) {
  struct sample sample = a_sample(0);
  if (record_check(&sample, state, bytes) != OK) {
    return;
  }
  uint32_t stage;
  memcpy(&stage, state + 12, sizeof stage); /* behind magic and version */
  assert(stage < 2);
  sample = a_sample((int)stage);
  assert(record_put(&sample, NULL, state, bytes) == OK);
  assert(sample.cursor >= 0 && sample.cursor <= ROWS);
  assert(sample_state_bytes(&sample) == bytes);
  static uint8_t again[1 << 16];
  assert(bytes <= sizeof again);
  assert(sample_state_write(&sample, NULL, again) == OK);
  for (int i = 0; i < SLOTS * CELLS; i++) {
    assert(isfinite(slots[i]));
  }
  struct sample other = a_sample(0);
  assert(record_check(&other, again, bytes) == OK);
}

/* The input as it is; and as changes of a sound state, of either stage, which gets far. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t state[1 << 16];
  make_recipe();
  check(data, size);
  struct sample sample = a_sample((int)(size % 2));
  sample.cursor = size > 0 ? data[0] % (ROWS + 1) : 0;
  sample.drawn = sample.cursor < ROWS && rows[0][sample.cursor].needs_noise && size > 3;
  size_t bytes = sample_state_bytes(&sample);
  assert(bytes <= sizeof state && sample_state_write(&sample, NULL, state) == OK);
  check(state, bytes);
  for (size_t i = 1; i + 2 < size; i += 3) { /* place and value */
    state[(size_t)(data[i] | data[i + 1] << 8) % bytes] = data[i + 2];
  }
  check(state, bytes);
  check(state, size > 1 && data[1] < bytes ? bytes - data[1] : bytes);
  return 0;
}
