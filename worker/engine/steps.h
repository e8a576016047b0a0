/* steps.h - a turn of the U-Net: queued, and read when it has landed. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_STEPS_H
#define DARKROOM_WORKER_ENGINE_STEPS_H

#include "worker/engine/state.h"

/* Queues a step of the head and of all that can go along; there must be room for it. Where the
 * device has no memory for so many rows, fewer go from now on; jobs that fail end here. BROKEN
 * alone is given back. */
enum status steps_queue(struct engine *engine, struct sample *head);
/* Reads a turn that has just landed: tells steps, and ends those that have become infinite. */
void steps_read(struct engine *engine, struct flight *flight, int64_t began_ns, uint64_t took_us);

#endif
