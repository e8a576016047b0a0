/* solo.h - turns that serve one image alone, beside the steps where the device has queues: its
 * pictures become latents, its latents a picture. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_SOLO_H
#define DARKROOM_WORKER_ENGINE_SOLO_H

#include "worker/engine/state.h"

/* Queues what the head needs, which is not a step, or what has the block that it waits for
 * (tiles.h); there must be room for it. Either way the head pays. A job that fails ends here.
 * BROKEN alone is given back. */
enum status solo_queue(struct engine *engine, struct sample *head);
/* Reads one that has just landed. Likewise. */
enum status solo_read(struct engine *engine, struct flight *flight, uint64_t took_us);

#endif
