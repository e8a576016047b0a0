/* encodes.h - pictures of a job become latents: a turn for one image (solo.h), or some
 * (tiles.h). Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_ENCODES_H
#define DARKROOM_WORKER_ENGINE_ENCODES_H

#include "worker/engine/state.h"

/* Queues the encoder over the picture that the sample needs, or the tiles of it that flight->work
 * says, in the queue in use, with the next
 * piece of the sample's noise for the posterior, and what receives the latents. */
enum status encodes_run(struct engine *engine, struct sample *sample, struct flight *flight);
/* The latents have landed: the sample begins with them. */
enum status encodes_read(struct engine *engine, struct sample *sample, struct flight *flight,
                         uint64_t took_us);

#endif
