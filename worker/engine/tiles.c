/* tiles.c - pictures in turns. That one is under way, and which, is said by its sample alone, so
 * that whoever leaves has left the block. */
#include "worker/engine/tiles.h"

#include "worker/engine/expectation.h"

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
  int64_t left = sample_turns(sample) - sample->tiles;
  int most = left < INT32_MAX ? (int)left : INT32_MAX;
  bool encodes = sample_needs(sample) == NEED_ENCODE;
  struct pace_work work = {
      .model = stage->resident, .kind = encodes ? PACE_ENCODE_TILE : PACE_TILE, .cells = 1};
  work.rows = pace_rows(&engine->pace, &work, 1, most);
  return work;
}

bool tiles_are(const struct pace_work *work) {
  return work->kind == PACE_TILE || work->kind == PACE_ENCODE_TILE;
}

double tiles_part(const struct sample *sample, const struct pace_work *work) {
  return tiles_are(work) ? (double)work->rows / (double)sample_turns(sample) : 1.0;
}

bool tiles_ended(const struct sample *sample) { return sample->tiles == sample_turns(sample); }

enum status tiles_run(struct engine *engine, struct sample *sample, const struct pace_work *work,
                      const struct tiles_call *call) {
  struct arena *block = engine->scratch[SCRATCH_TILES].arena;
  struct arena_mark mark = arena_mark(block);
  enum status status = call->queue(call->context, block, sample->tiles, work->rows);
  arena_release(block, mark);
  TRY(status);
  sample->tiles += work->rows;
  return OK;
}

/* The whole is about what all at once takes: should it prove to be short, the next picture of its
 * size goes so. */
bool tiles_landed(struct engine *engine, struct sample *sample, uint64_t took_us) {
  sample->tiles_us += took_us;
  if (!tiles_ended(sample)) {
    return false;
  }
  bool encodes = sample_needs(sample) == NEED_ENCODE;
  const struct pace_work whole =
      work_of(sample_stage(sample), encodes ? PACE_ENCODE : PACE_DECODE, 1);
  pace_note(&engine->pace, &whole, sample->tiles_us);
  sample->tiles = 0;
  sample->tiles_us = 0;
  return true;
}
