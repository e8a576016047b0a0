/* tiles.h - a picture whose decode at once would make others wait for longer than a turn, or take
 * more memory than there is, is decoded in turns of some tiles each (model_decode_turn), between
 * which the steps of others go. Private to this folder.
 *
 * What a decode in turns keeps between them lies in one block of the engine's, so one picture is
 * decoded so at a time: more would not be done any sooner, for a queue does one thing after
 * another. Whoever waits for the block lends his place in the lanes to the one who has it, so that
 * a person does not wait for bulk work that is never due.
 */
#ifndef DARKROOM_WORKER_ENGINE_TILES_H
#define DARKROOM_WORKER_ENGINE_TILES_H

#include "worker/engine/state.h"

/* Who is in the middle of a decode in turns and so has the block; NULL: it is free. */
struct sample *tiles_holder(struct engine *engine);
/* Whether a turn of tiles can be queued: not while the last one of its holder is in flight. */
bool tiles_room(struct engine *engine);
/* Whom a turn serves when the head is due: the head, or who has the block that it waits for. */
struct sample *tiles_served(struct engine *engine, struct sample *head);

/* Its next turn: as many tiles as should pass in PACE_TURN_US, one as long as nothing is known. */
struct pace_work tiles_work(const struct engine *engine, const struct sample *sample);
/* Which part of the whole decode that is. */
double tiles_part(const struct sample *sample, const struct pace_work *work);
/* Queues it in the queue in use; *out is where the picture lies once the last one has passed. The
 * block is the engine's, as large as scratch_reserve has made it. */
enum status tiles_run(struct engine *engine, struct sample *sample, const struct pace_work *work,
                      struct decode *out);
/* Whether all have been queued: the block may be another's. So it is of a decode at once. */
bool tiles_ended(const struct sample *sample);
/* One has landed after so long. Whether the picture is whole: then how long all of it took is known
 * to the pace. */
bool tiles_landed(struct engine *engine, struct sample *sample, uint64_t took_us);

#endif
