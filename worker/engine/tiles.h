/* tiles.h - a picture whose decode or encode at once would make others wait for longer than a turn,
 * or take more memory than there is, goes in turns of some tiles each (model_decode_turn,
 * model_encode_turn), between which the steps of others go. Private to this folder.
 *
 * What is kept between such turns lies in one block of the engine's, so one picture goes so at a
 * time: more would not be done any sooner, for a queue does one thing after
 * another. Whoever waits for the block lends his place in the lanes to the one who has it, so that
 * a person does not wait for bulk work that is never due.
 */
#ifndef DARKROOM_WORKER_ENGINE_TILES_H
#define DARKROOM_WORKER_ENGINE_TILES_H

#include "worker/engine/state.h"

/* Who is in the middle of a picture in turns and so has the block; NULL: it is free. */
struct sample *tiles_holder(struct engine *engine);
/* Whether a turn of tiles can be queued: not while the last one of its holder is in flight. */
bool tiles_room(struct engine *engine);
/* Whom a turn serves when the head is due: the head, or who has the block that it waits for. */
struct sample *tiles_served(struct engine *engine, struct sample *head);

/* Its next turn: as many tiles as should pass in PACE_TURN_US, one as long as nothing is known. */
struct pace_work tiles_work(const struct engine *engine, const struct sample *sample);
/* Whether it is such a turn, and which part of the whole it is. */
bool tiles_are(const struct pace_work *work);
double tiles_part(const struct sample *sample, const struct pace_work *work);
/* What queues tiles [first, first + count) of a sample. Its places come first in the block, in each
 * turn the same. */
struct tiles_call {
  enum status (*queue)(void *context, struct arena *block, int64_t first, int64_t count);
  void *context;
};
/* Queues it in the queue in use. The block is the engine's, as large as scratch_reserve has made
 * it, and is released again. */
enum status tiles_run(struct engine *engine, struct sample *sample, const struct pace_work *work,
                      const struct tiles_call *call);
/* Whether all have been queued: the block may be another's. So it is of what goes at once. */
bool tiles_ended(const struct sample *sample);
/* One has landed after so long. Whether it was the last: then how long all of it took is known
 * to the pace. */
bool tiles_landed(struct engine *engine, struct sample *sample, uint64_t took_us);

#endif
