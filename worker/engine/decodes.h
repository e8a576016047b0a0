/* decodes.h - latents become a picture, which is told when it has landed: a turn for one image
 * (solo.h), or some (tiles.h). Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_DECODES_H
#define DARKROOM_WORKER_ENGINE_DECODES_H

#include "worker/engine/state.h"

/* Queues the decode of a sample that has ended, in the queue in use, and what receives it; or the
 * tiles that flight->work says. */
enum status decodes_run(struct engine *engine, struct sample *sample, struct flight *flight);
/* The same at once, reading nothing: so a device makes what it makes once. */
enum status decodes_warm(struct engine *engine, const struct sample *sample);
/* Reads one that has just landed: a picture that is finite and not of one colour goes out, and with
 * the last one the job is finished. One that is not is decoded once more in f32 before its job
 * fails; BROKEN from there. */
enum status decodes_read(struct engine *engine, struct sample *sample, struct flight *flight,
                         uint64_t took_us);

#endif
