/* previews.h - small pictures of images on their way: made JPEG at once, told in the next BEATs. */
#ifndef DARKROOM_WORKER_PREVIEWS_H
#define DARKROOM_WORKER_PREVIEWS_H

#include "worker/engine/pipe.pb-c.h"
#include "worker/worker.h"

/* An engine's small picture takes the place of what was not told yet. One that is too large for a
 * preview, or cannot be encoded, is left out: nothing depends on it. */
void preview_received(struct worker *worker, struct held *held,
                      const Darkroom__Pipe__Pixels *pixels);

/* The previews of a job that are not told yet, as messages in the arena, as far as a BEAT has room
 * for them (*used: bytes of them in it so far); how many. */
size_t previews_tell(struct arena *arena, struct held *held, size_t *used,
                     Darkroom__V1__Preview ***out);
/* Whether one found no room. */
bool previews_waiting(const struct held *held);

#endif
