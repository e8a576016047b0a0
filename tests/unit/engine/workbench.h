/* workbench.h - the parts of an engine laid out on the table: tiny models, conditionings, scratch,
 * and samples to step by hand. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_WORKBENCH_H
#define DARKROOM_TESTS_UNIT_ENGINE_WORKBENCH_H

#include "tests/unit/model/tiny.h"
#include "worker/engine/batch.h"
#include "worker/engine/beginning.h"

struct workbench {
  struct device *device;
  struct arena *memory, *scratch;
  struct residence residence;
  struct budget budget;
  struct conditionings *conditionings;
  struct drawing_room room;
  const struct engine_inputs *inputs; /* of the jobs that begin; NULL: none */
};

static inline void workbench_open(struct workbench *bench, const char *device, bool force_f32) {
  static char folders[3][256];
  snprintf(folders[0], sizeof folders[0], "%s", tiny_folder("tiny-eps"));
  snprintf(folders[1], sizeof folders[1], "%s", tiny_folder("tiny-v"));
  snprintf(folders[2], sizeof folders[2], "%s", tiny_folder("tiny-inpaint"));
  const struct engine_model models[] = {{.id = "tiny-eps", .source.folder = folders[0]},
                                        {.id = "tiny-v", .source.folder = folders[1]},
                                        {.id = "tiny-inpaint", .source.folder = folders[2]}};
  struct device_settings settings = {.threads = 1, .force_f32 = force_f32};
  *bench = (struct workbench){.budget.max = TINY_ARENA_BYTES};
  assert_ok(device_open(device, &settings, &bench->device));
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &bench->memory));
  assert_ok(device_arena(bench->device, TINY_ARENA_BYTES, &bench->scratch));
  assert_ok(residence_open(bench->memory, bench->device, models, 3, &bench->residence));
  assert_ok(
      conditionings_open(bench->memory, bench->device, &bench->budget, &bench->conditionings));
  bench->room.values = arena_take(bench->memory, 1 << 20);
  bench->room.scratch = arena_take(bench->memory, 1 << 20);
  bench->room.clean = arena_take(bench->memory, 1 << 20);
  bench->room.planes = arena_take(bench->memory, 1 << 20);
}

static inline void workbench_close(struct workbench *bench) {
  conditionings_close(&bench->conditionings);
  residence_close(&bench->residence);
  arena_close(&bench->scratch);
  arena_close(&bench->memory);
  device_close(&bench->device);
}

/* Encodes what it begins with: any latents will do. */
static inline void workbench_encode(struct workbench *bench, struct sample *sample) {
  while (sample->encode != ENCODE_NONE) {
    float latents[4096];
    for (int i = 0; i < 4096; i++) {
      latents[i] = (float)(i % 17) / 8.0f - 1.0f;
    }
    sample_draw(sample, &bench->room);
    assert_ok(beginning_encoded(sample, bench->device, &bench->room, latents));
  }
}

/* A job's task with its conditionings, and its first image begun. */
static inline void workbench_begin(struct workbench *bench, const Darkroom__V1__Job *job,
                                   struct task *task, struct sample *sample) {
  struct refusal why = {0};
  assert_ok(task_open(&bench->residence, job, bench->inputs, &why, task));
  const struct makers makers = {.device = bench->device,
                                .budget = &bench->budget,
                                .conditionings = bench->conditionings,
                                .scratch = bench->scratch};
  assert_ok(task_prepare(task, &makers, job, bench->inputs));
  for (int i = 0; i < task->recipe->stages; i++) {
    task->recipe->stage[i].rows_max = BATCH_ROWS_MAX;
  }
  assert_ok(sample_open(sample, bench->device, task, 0, &bench->room));
  workbench_encode(bench, sample);
}
static inline void workbench_end(struct task *task, struct sample *sample) {
  sample_close(sample);
  task_close(task);
}

/* One row of the sample's plan, alone. */
static inline void workbench_step(struct workbench *bench, struct sample *sample) {
  const struct workplace place = {bench->device, bench->scratch, bench->room};
  struct batch batch;
  struct batch_outcome outcome;
  batch_gather(sample, sample, 1, BATCH_ROWS_MAX, &batch);
  assert_ok(batch_queue(&batch, &place, &outcome));
  sample_advanced(sample);
}

/* Its latents as [H, W, C] on the host; free() them. */
static inline float *workbench_latents(struct workbench *bench, const struct sample *sample) {
  size_t bytes = tensor_bytes(&sample->latents);
  float *values = malloc(bytes);
  assert_ok(device_get(bench->device, &sample->latents, values, bytes));
  return values;
}

#endif
