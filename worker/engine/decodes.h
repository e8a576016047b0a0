/* decodes.h - a turn of the decoder: latents become a picture, which is told when it has landed.
 * Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_DECODES_H
#define DARKROOM_WORKER_ENGINE_DECODES_H

#include "worker/engine/state.h"

/* Queues the decode of a sample that has ended; there must be room for it. A job that fails ends
 * here. BROKEN alone is given back. */
enum status decodes_queue(struct engine *engine, struct sample *sample);
/* Queues it in the queue in use and reads nothing: so a device makes what it makes once. */
enum status decodes_warm(struct engine *engine, const struct sample *sample);
/* Reads one that has just landed: a picture that is finite and not of one colour goes out, and with
 * the last one the job is finished. One that is not is decoded once more in f32 before its job
 * fails; BROKEN from there. */
enum status decodes_read(struct engine *engine, struct flight *flight, uint64_t took_us);

#endif
