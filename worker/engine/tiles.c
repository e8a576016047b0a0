/* tiles.c - decodes in turns. That one is under way, and which, is said by its sample alone, so
 * that whoever leaves has left the block. */
#include "worker/engine/tiles.h"

#include "worker/engine/expectation.h"
#include "worker/engine/picture.h"

/* ---- whose turn it is ---- */

struct sample *tiles_holder(struct engine *engine) {
  for (int i = 0; i < engine->settings.slots; i++) {
    struct sample *sample = &engine->samples[i];
    if (sample->task != NULL && sample->tiles > 0 && !tiles_ended(sample)) {
      return sample;
    }
  }
  return NULL;
}

bool tiles_room(struct engine *engine) {
  const struct sample *holder = tiles_holder(engine);
  return holder == NULL || !holder->away;
}

struct sample *tiles_served(struct engine *engine, struct sample *head) {
  struct sample *holder = sample_in_tiles(head) ? tiles_holder(engine) : NULL;
  return holder != NULL ? holder : head;
}

/* ---- a turn ---- */

struct pace_work tiles_work(const struct engine *engine, const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  int64_t left = stage->decode_turns - sample->tiles;
  int most = left < INT32_MAX ? (int)left : INT32_MAX;
  struct pace_work work = {.model = stage->resident, .kind = PACE_TILE, .cells = 1};
  work.rows = pace_rows(&engine->pace, &work, 1, most);
  return work;
}

double tiles_part(const struct sample *sample, const struct pace_work *work) {
  return work->kind == PACE_TILE ? (double)work->rows / (double)sample_stage(sample)->decode_turns
                                 : 1.0;
}

bool tiles_ended(const struct sample *sample) {
  return sample->tiles == sample_stage(sample)->decode_turns;
}

/* The places of the picture come first in the block, in each turn the same. */
static enum status queue(struct engine *engine, struct sample *sample, int count,
                         struct decode *out) {
  struct arena *block = engine->scratch[SCRATCH_TILES].arena;
  struct model *model = sample_stage(sample)->resident->model;
  TRY(picture_places(engine->settings.device, block, sample, model_decode_scale(model), out));
  return model_decode_turn(model, block, out, sample->tiles, count);
}

enum status tiles_run(struct engine *engine, struct sample *sample, const struct pace_work *work,
                      struct decode *out) {
  struct arena *block = engine->scratch[SCRATCH_TILES].arena;
  struct arena_mark mark = arena_mark(block);
  enum status status = queue(engine, sample, work->rows, out);
  arena_release(block, mark);
  TRY(status);
  sample->tiles += work->rows;
  return OK;
}

/* The whole is about what a decode at once takes: should it prove to be short, the next picture of
 * its size is decoded so. */
bool tiles_landed(struct engine *engine, struct sample *sample, uint64_t took_us) {
  sample->tiles_us += took_us;
  if (!tiles_ended(sample)) {
    return false;
  }
  const struct pace_work whole = work_of(sample_stage(sample), PACE_DECODE, 1);
  pace_note(&engine->pace, &whole, sample->tiles_us);
  sample->tiles = 0;
  sample->tiles_us = 0;
  return true;
}
