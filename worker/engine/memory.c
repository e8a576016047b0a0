/* memory.c - bytes of turns and pictures, known before anything is taken. */
#include "worker/engine/memory.h"

#include <stdio.h>

#include "kernels/device.h"

#define ALIGNMENT 64 /* the arena's */
#define MIB ((size_t)1024 * 1024)
/* Ops take a little memory of their own on the device, beside the turn's: what oneDNN asks for,
 * attention's packed keys, a trial when a primitive is made, a weight in a second layout. Measured,
 * it is far below this part of what is left and this much. */
#define OPS_PART 8
#define OPS_BYTES (24 * MIB)

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* What one turn for this task may take: a U-Net call of so many rows, a decode, or, at admission,
 * the text encoder. */
static size_t turn_bytes(const struct engine *engine, const struct task *task, int rows) {
  size_t step = batch_bytes(task, engine->settings.device, rows);
  size_t condition = model_condition_scratch_bytes(task->resident->model);
  size_t decode =
      budget_sum(model_decode_bytes(task->resident->model, task->latent_height, task->latent_width),
                 (size_t)task->width * (size_t)task->height * 3 + 4 * ALIGNMENT);
  return larger(condition, larger(step, decode));
}

/* ---- the largest picture --------------------------------------------------------------------- */

/* What the most demanding job of one square picture holds when nobody else is here: guidance, and a
 * sampler with all the slots there are. */
static size_t picture_bytes(const struct engine *engine, const struct resident *resident,
                            int side) {
  int cells = side / resident->family->scale_factor;
  struct task task = {.resident = resident,
                      .guidance = 2,
                      .width = side,
                      .height = side,
                      .latent_width = cells,
                      .latent_height = cells};
  size_t piece =
      (size_t)task_cells(&task) * (size_t)resident->family->vae.latent_channels * sizeof(float);
  size_t sample = (SAMPLE_SLOTS_MAX + 1) * (piece + ALIGNMENT);
  return budget_sum(turn_bytes(engine, &task, task_rows(&task)),
                    sample + 2 * model_condition_bytes(resident->model));
}

/* The largest side, up to the one that was set, that a square picture may have; 0 when there is no
 * memory for any. */
static int side_that_fits(const struct engine *engine, const struct resident *resident) {
  int multiple = resident_multiple(resident);
  int low = 0, high = engine->settings.max_side / multiple;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (picture_bytes(engine, resident, middle * multiple) <= engine->budget.max) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * multiple;
}

enum status memory_share(struct engine *engine) {
  const struct engine_settings *settings = &engine->settings;
  size_t used = device_memory_used(settings->device);
  size_t left = settings->memory_total > used ? settings->memory_total - used : 0;
  size_t ops = left / OPS_PART + OPS_BYTES;
  engine->budget.max = settings->memory_max != 0 ? settings->memory_max
                       : left > ops              ? left - ops
                                                 : 0;
  for (size_t i = 0; i < engine->residence.count; i++) {
    struct resident *resident = &engine->residence.rows[i];
    resident->max_side = side_that_fits(engine, resident);
    if (resident->max_side == 0) {
      int smallest = resident_multiple(resident);
      return fail(EXHAUSTED,
                  "model %s: a picture of %dx%d takes %zu MiB beside the weights, there are %zu",
                  resident->id, smallest, smallest,
                  picture_bytes(engine, resident, smallest) / MIB + 1, engine->budget.max / MIB);
    }
  }
  return OK;
}

/* ---- scratch --------------------------------------------------------------------------------- */

void scratch_close(struct engine *engine) {
  arena_close(&engine->scratch);
  budget_give(&engine->budget, engine->scratch_bytes);
  engine->scratch_bytes = 0;
}

static enum status take_scratch(struct engine *engine, size_t bytes) {
  struct arena *arena = NULL;
  TRY(device_arena(engine->settings.device, bytes, &arena)); /* one block: what was promised */
  if (arena_take(arena, bytes) == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  arena_drop(arena);
  engine->scratch = arena;
  return OK;
}

/* Nothing in it outlives a turn, so the old one goes before the new one comes: the two never live
 * at once, and the budget's sum is what there is. */
static enum status exchange_scratch(struct engine *engine, size_t bytes) {
  TRY(device_wait(engine->settings.device));
  arena_close(&engine->scratch);
  enum status status = take_scratch(engine, bytes);
  if (status == OK || engine->scratch_bytes == 0) {
    return status;
  }
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  return take_scratch(engine, engine->scratch_bytes) == OK
             ? fail(EXHAUSTED, "%s", reason)
             : fail(BROKEN, "the scratch memory of running jobs is gone: %s", fail_reason());
}

enum status scratch_reserve(struct engine *engine, struct task *task) {
  int fewest = task_rows(task);
  task->rows_max = engine->settings.batch_rows;
  while (task->rows_max > fewest &&
         turn_bytes(engine, task, task->rows_max) > engine->budget.max / 2) {
    task->rows_max = task->rows_max / 2 < fewest ? fewest : task->rows_max / 2;
  }
  size_t bytes = turn_bytes(engine, task, task->rows_max);
  if (bytes <= engine->scratch_bytes) {
    return OK;
  }
  size_t more = bytes - engine->scratch_bytes;
  TRY(conditionings_make_room(engine->conditionings, more));
  enum status status = exchange_scratch(engine, bytes);
  if (status != OK) {
    budget_give(&engine->budget, more);
    return status;
  }
  engine->scratch_bytes = bytes;
  return OK;
}
