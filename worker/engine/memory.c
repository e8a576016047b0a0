/* memory.c - bytes of turns and pictures, known before anything is taken. */
#include "worker/engine/memory.h"

#include <stdio.h>

#include "kernels/queue.h"
#include "worker/engine/expectation.h"
#include "worker/engine/tiles.h"
#include "worker/model/tiny_vae.h"

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

/* Scratch of an encoder's turn (encodes.c): the picture as numbers, its moments, what is drawn. */
static size_t encode_bytes(const struct stage *stage) {
  size_t picture = (size_t)stage->width * (size_t)stage->height * 3 * sizeof(float);
  const struct model *model = stage->resident->model;
  int height = stage->latent_height, width = stage->latent_width;
  size_t inside = stage->encode_turns > 0 ? model_encode_turns_bytes(model, height, width)
                                          : model_encode_bytes(model, height, width);
  return budget_sum(inside, picture + 2 * latent_bytes(stage) + 4 * ALIGNMENT);
}

/* The picture that any decode makes, and what beside it (picture.c). */
static size_t places_bytes(const struct stage *stage) {
  return (size_t)stage->width * (size_t)stage->height * 3 + 4 * ALIGNMENT;
}

static size_t tiny_bytes(const struct stage *stage, const struct tiny_vae *tiny) {
  size_t inside = tiny_vae_decode_bytes(tiny, stage->latent_height, stage->latent_width);
  return budget_sum(inside, places_bytes(stage));
}

static size_t decode_bytes(const struct stage *stage) {
  const struct model *model = stage->resident->model;
  int height = stage->latent_height, width = stage->latent_width;
  if (stage->tiny != NULL) {
    return tiny_bytes(stage, stage->tiny);
  }
  return budget_sum(stage->decode_turns > 0 ? model_decode_turns_bytes(model, height, width)
                                            : model_decode_bytes(model, height, width),
                    places_bytes(stage));
}

/* What turns for one image alone may take: within a turn, and kept between some. */
struct alone_bytes {
  size_t turn, kept;
};

static struct alone_bytes alone_bytes(const struct stage *stage) {
  size_t bytes[] = {stage_encodes(stage) ? encode_bytes(stage) : 0, decode_bytes(stage)};
  bool kept[] = {stage->encode_turns > 0, stage->decode_turns > 0};
  struct alone_bytes alone = {0, 0};
  for (int i = 0; i < 2; i++) {
    size_t *where = kept[i] ? &alone.kept : &alone.turn;
    *where = larger(*where, bytes[i]);
  }
  return alone;
}

/* What one turn for this stage may take of each scratch. */
struct turn_bytes {
  size_t part[SCRATCHES];
};

/* A U-Net call of so many rows and a preview behind it or, at admission, the text encoder; and what
 * is for one image alone, in the same memory where the device does one thing after another. */
static struct turn_bytes turn_bytes(const struct engine *engine, const struct stage *stage,
                                    struct alone_bytes alone, int rows) {
  size_t step = batch_bytes(stage, engine->settings.device, rows);
  size_t condition = model_condition_scratch_bytes(stage->resident->model);
  size_t once = controls_once_bytes(&stage->controls, stage->latent_height, stage->latent_width);
  size_t preview = stage->previewer != NULL ? tiny_bytes(stage, stage->previewer) : 0;
  bool queues = device_has_queues(engine->settings.device);
  step = larger(step, preview);
  step = larger(larger(condition, once), step);
  struct turn_bytes bytes = {{[SCRATCH_TILES] = whole(alone.kept)}};
  bytes.part[QUEUE_STEPS] = whole(queues ? step : larger(step, alone.turn));
  bytes.part[QUEUE_DECODES] = queues ? whole(alone.turn) : 0;
  return bytes;
}

static size_t sum_of(struct turn_bytes bytes) {
  size_t sum = 0;
  for (int i = 0; i < SCRATCHES; i++) {
    sum = budget_sum(sum, bytes.part[i]);
  }
  return sum;
}

/* Of the fewest rows. */
static size_t least_sum(const struct engine *engine, const struct stage *stage) {
  return sum_of(turn_bytes(engine, stage, alone_bytes(stage), stage_rows(stage)));
}

/* ---- at once or in turns --------------------------------------------------------------------- */

/* Large pictures leave half of the memory to others. */
static size_t half(const struct engine *engine) { return engine->budget.max / 2; }

/* A way of a stage's between pictures and latents: what of it is chosen, and from what. */
struct way {
  enum pace_kind pace;
  int64_t *turns;   /* the stage's */
  int64_t in_turns; /* 0: it goes at once only */
};
enum { WAYS = 2 };

/* Encoding first: how a picture is decoded is chosen beside what that has come to. A tiny decoder
 * is short, and knows no turns. */
static void ways_of(struct stage *stage, struct way out[WAYS]) {
  const struct model *model = stage->resident->model;
  int height = stage->latent_height, width = stage->latent_width;
  bool encodes = stage_encodes(stage), decodes = stage->tiny == NULL;
  out[0] = (struct way){PACE_ENCODE, &stage->encode_turns,
                        encodes ? model_encode_turns(model, height, width) : 0};
  out[1] = (struct way){PACE_DECODE, &stage->decode_turns,
                        decodes ? model_decode_turns(model, height, width) : 0};
}

/* In turns where all at once would be longer than one, unless that takes more than half of the
 * memory and the other way takes less. */
static void choose_way(const struct engine *engine, struct stage *stage, const struct way *way) {
  const struct pace_work work = work_of(stage, way->pace, 1);
  bool slow = pace_expect(&engine->pace, &work) > PACE_TURN_US;
  *way->turns = 0;
  size_t at_once = least_sum(engine, stage);
  if (way->in_turns == 0 || (!slow && at_once <= half(engine))) {
    return;
  }
  *way->turns = way->in_turns;
  size_t in_turns = least_sum(engine, stage);
  bool better = slow ? in_turns <= half(engine) || in_turns <= at_once : in_turns < at_once;
  *way->turns = better && in_turns != SIZE_MAX ? way->in_turns : 0;
}

/* Each of the two beside the other in turns, where it can: that is what takes least. */
static void choose_turns(const struct engine *engine, struct stage *stage) {
  struct way way[WAYS];
  ways_of(stage, way);
  for (int i = 0; i < WAYS; i++) {
    *way[i].turns = way[i].in_turns;
  }
  for (int i = 0; i < WAYS; i++) {
    choose_way(engine, stage, &way[i]);
  }
}

/* At most what choose_turns may choose, whatever the pace. */
static size_t chosen_sum(const struct engine *engine, struct stage *stage) {
  struct way way[WAYS];
  size_t least = SIZE_MAX, most = 0;
  ways_of(stage, way);
  for (int i = 0; i < 1 << WAYS; i++) {
    for (int k = 0; k < WAYS; k++) {
      *way[k].turns = (i >> k & 1) != 0 ? way[k].in_turns : 0;
    }
    size_t sum = least_sum(engine, stage);
    least = sum < least ? sum : least;
    most = larger(most, sum);
  }
  return larger(least, most < half(engine) ? most : half(engine));
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
  return budget_sum(chosen_sum(engine, &stage),
                    sample + 2 * model_condition_bytes(resident->model, 1));
}

/* The largest side, up to the one that was set, that a square picture may have; 0 when there is no
 * memory for any. */
static int side_that_fits(const struct engine *engine, const struct resident *resident) {
  int multiple = resident_multiple(resident);
  int low = 0, high = engine->settings.max_side / multiple;
  size_t weights = resident->outline != NULL ? resident->bytes : 0;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    size_t picture = picture_bytes(engine, resident, middle * multiple);
    if (budget_sum(picture, weights) <= engine->budget.max) {
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
  size_t bytes = 0;
  for (int i = 0; i < SCRATCHES; i++) {
    bytes += engine->scratch[i].bytes;
  }
  return bytes > 0;
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
  for (int i = 0; i < SCRATCHES; i++) {
    arena_close(&engine->scratch[i].arena);
    budget_give(&engine->budget, engine->scratch[i].bytes);
    engine->scratch[i].bytes = 0;
  }
  return OK;
}

/* Nothing in it is wanted any more, so the old one goes before the new one comes: the two never
 * live at once, and the budget's sum is what there is. */
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

static enum status grow(struct engine *engine, int index, size_t bytes) {
  struct scratch *scratch = &engine->scratch[index];
  if (bytes <= scratch->bytes) {
    return OK;
  }
  if (index == SCRATCH_TILES && tiles_holder(engine) != NULL) {
    return fail(EXHAUSTED, "a picture is in the middle of its turns");
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
 * pictures get fewer. */
static int rows_for(const struct engine *engine, const struct stage *stage,
                    struct alone_bytes alone) {
  const struct ceiling shape = {
      .model = stage->resident, .height = stage->latent_height, .width = stage->latent_width};
  int fewest = stage_rows(stage);
  int rows = ceiling_of(&engine->ceilings, &shape, engine->settings.batch_rows);
  rows = rows > fewest ? rows : fewest;
  while (rows > fewest && sum_of(turn_bytes(engine, stage, alone, rows)) > half(engine)) {
    rows = rows / 2 < fewest ? fewest : rows / 2;
  }
  return rows;
}

/* How large a picture may be was found out with the model's own decoder, which goes in turns. */
static enum status check_tiny(const struct engine *engine, const struct stage *stage) {
  bool tiny = stage->tiny != NULL || stage->previewer != NULL;
  size_t bytes = tiny ? least_sum(engine, stage) : 0;
  return bytes <= engine->budget.max
             ? OK
             : fail_field(BAD_INPUT, stage->tiny != NULL ? "tiny_decoder" : "preview_kind",
                          "%dx%d by the tiny decoder takes %zu MiB, there are %zu", stage->width,
                          stage->height, bytes / MIB + 1, engine->budget.max / MIB);
}

enum status scratch_reserve(struct engine *engine, struct stage *stage) {
  choose_turns(engine, stage);
  TRY(check_tiny(engine, stage));
  const struct alone_bytes alone = alone_bytes(stage);
  stage->rows_max = rows_for(engine, stage, alone);
  struct turn_bytes bytes = turn_bytes(engine, stage, alone, stage->rows_max);
  for (int i = 0; i < SCRATCHES; i++) {
    TRY(grow(engine, i, bytes.part[i]));
  }
  return OK;
}
