/* memory.c - bytes of turns and pictures, known before anything is taken. */
#include "worker/engine/memory.h"

#include <stdio.h>

#include "kernels/queue.h"
#include "worker/engine/encodes.h"

#define ALIGNMENT 64 /* the arena's */
#define MIB ((size_t)1024 * 1024)
/* Ops take a little memory of their own on the device, beside the turn's: what oneDNN asks for,
 * attention's packed keys, a trial when a primitive is made, a weight in a second layout. Measured,
 * it is far below this part of what is left and this much. */
#define OPS_PART 8
#define OPS_BYTES (24 * MIB)

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* As an arena rounds up. */
static size_t whole(size_t bytes) {
  return budget_sum(bytes, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* What one turn for this stage may take of the scratch of each queue. */
struct turn_bytes {
  size_t queue[FLIGHT_QUEUES];
};

/* A U-Net call of so many rows or, at admission, the text encoder; and a decode, in the same memory
 * where the device does one thing after another. */
static struct turn_bytes turn_bytes(const struct engine *engine, const struct stage *stage,
                                    int rows) {
  const struct model *model = stage->resident->model;
  size_t step = batch_bytes(stage, engine->settings.device, rows);
  size_t condition = model_condition_scratch_bytes(model);
  size_t decode = budget_sum(model_decode_bytes(model, stage->latent_height, stage->latent_width),
                             (size_t)stage->width * (size_t)stage->height * 3 + 4 * ALIGNMENT);
  size_t once = controls_once_bytes(&stage->controls, stage->latent_height, stage->latent_width);
  step = larger(larger(condition, once), step);
  decode = larger(decode, stage_encodes(stage) ? encodes_bytes(stage) : 0);
  return device_has_queues(engine->settings.device)
             ? (struct turn_bytes){{[QUEUE_STEPS] = whole(step), [QUEUE_DECODES] = whole(decode)}}
             : (struct turn_bytes){{[QUEUE_STEPS] = whole(larger(step, decode))}};
}

static size_t sum_of(struct turn_bytes bytes) {
  return budget_sum(bytes.queue[QUEUE_STEPS], bytes.queue[QUEUE_DECODES]);
}

/* ---- the largest picture --------------------------------------------------------------------- */

/* What a picture to begin from takes beside: it and its mask, as bytes and as numbers of cells. */
static size_t image_bytes(const struct stage *stage, size_t piece) {
  size_t pixels = (size_t)stage->width * (size_t)stage->height;
  size_t cells = (size_t)stage_cells(stage) * sizeof(float);
  return 4 * pixels + 3 * piece + 2 * cells + 6 * ALIGNMENT;
}

/* What the most demanding job of one square picture holds when nobody else is here: guidance, and a
 * sampler with all the slots there are. */
static size_t picture_bytes(const struct engine *engine, const struct resident *resident,
                            int side) {
  int cells = side / resident->family->scale_factor;
  struct stage stage = {.resident = resident,
                        .guided = true,
                        .begin = model_encodes(resident->model) ? BEGIN_IMAGE : BEGIN_NOISE,
                        .width = side,
                        .height = side,
                        .latent_width = cells,
                        .latent_height = cells};
  size_t piece =
      (size_t)stage_cells(&stage) * (size_t)resident->family->vae.latent_channels * sizeof(float);
  size_t sample = (SAMPLE_SLOTS_MAX + 1) * (piece + ALIGNMENT);
  sample += model_encodes(resident->model) ? image_bytes(&stage, piece) : 0;
  return budget_sum(sum_of(turn_bytes(engine, &stage, stage_rows(&stage))),
                    sample + 2 * model_condition_bytes(resident->model, 1));
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

bool scratch_any(const struct engine *engine) {
  return engine->scratch[QUEUE_STEPS].bytes + engine->scratch[QUEUE_DECODES].bytes > 0;
}

struct arena *scratch_of(const struct engine *engine, enum queue queue) {
  return engine->scratch[device_has_queues(engine->settings.device) ? queue : QUEUE_STEPS].arena;
}

/* Nothing that the device does, now or again, may find other memory at the old address. */
static enum status settle(struct engine *engine) {
  TRY(device_wait(engine->settings.device));
  device_forget_sequences(engine->settings.device);
  return OK;
}

enum status scratch_close(struct engine *engine) {
  TRY(settle(engine));
  for (int q = 0; q < FLIGHT_QUEUES; q++) {
    arena_close(&engine->scratch[q].arena);
    budget_give(&engine->budget, engine->scratch[q].bytes);
    engine->scratch[q].bytes = 0;
  }
  return OK;
}

/* Nothing in it outlives a turn, so the old one goes before the new one comes: the two never live
 * at once, and the budget's sum is what there is. */
static enum status exchange_scratch(struct engine *engine, struct scratch *scratch, size_t bytes) {
  TRY(settle(engine));
  arena_close(&scratch->arena);
  enum status status = device_block(engine->settings.device, bytes, &scratch->arena);
  if (status == OK || scratch->bytes == 0) {
    return status;
  }
  char reason[FAIL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  return device_block(engine->settings.device, scratch->bytes, &scratch->arena) == OK
             ? fail(EXHAUSTED, "%s", reason)
             : fail(BROKEN, "the scratch memory of running jobs is gone: %s", fail_reason());
}

static enum status grow(struct engine *engine, struct scratch *scratch, size_t bytes) {
  if (bytes <= scratch->bytes) {
    return OK;
  }
  size_t more = bytes - scratch->bytes;
  TRY(conditionings_make_room(engine->conditionings, more));
  enum status status = exchange_scratch(engine, scratch, bytes);
  if (status != OK) {
    budget_give(&engine->budget, more);
    return status;
  }
  scratch->bytes = bytes;
  return OK;
}

/* As many rows as were set, unless the device has turned out to have memory for fewer; large
 * pictures leave half of the memory to others. */
static int rows_for(const struct engine *engine, const struct stage *stage) {
  const struct ceiling shape = {
      .model = stage->resident, .height = stage->latent_height, .width = stage->latent_width};
  int fewest = stage_rows(stage);
  int rows = ceiling_of(&engine->ceilings, &shape, engine->settings.batch_rows);
  rows = rows > fewest ? rows : fewest;
  while (rows > fewest && sum_of(turn_bytes(engine, stage, rows)) > engine->budget.max / 2) {
    rows = rows / 2 < fewest ? fewest : rows / 2;
  }
  return rows;
}

enum status scratch_reserve(struct engine *engine, struct stage *stage) {
  stage->rows_max = rows_for(engine, stage);
  struct turn_bytes bytes = turn_bytes(engine, stage, stage->rows_max);
  for (int q = 0; q < FLIGHT_QUEUES; q++) {
    TRY(grow(engine, &engine->scratch[q], bytes.queue[q]));
  }
  return OK;
}
