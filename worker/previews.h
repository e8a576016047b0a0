/* previews.h - small pictures of images on their way: made JPEG at once, told in the next BEATs. */
#ifndef DARKROOM_WORKER_PREVIEWS_H
#define DARKROOM_WORKER_PREVIEWS_H

#include "worker/engine/pipe.pb-c.h"
#include "worker/worker.h"

/* An engine's small picture takes the place of what was not told yet. One that is too large for a
 * preview, or cannot be encoded, is left out: nothing depends on it. */
void preview_received(struct worker *worker, struct held *held,
                      const Darkroom__Pipe__Pixels *pixels);

/* A job and its row in a BEAT. */
struct preview_turn {
  struct held *held;
  Darkroom__V1__Progress *row;
};
/* Adds to the rows, in the worker's scratch arena, previews that are not told yet, as far as a BEAT
 * has room for them: each job one in its turn, then round again, from where the last BEAT ended.
 * turns: in the order of the table of held jobs. */
void previews_share(struct worker *worker, const struct preview_turn *turns, size_t count);
/* Whether one found no room. */
bool previews_waiting(const struct held *held);

#endif
