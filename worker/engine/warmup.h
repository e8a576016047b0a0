/* warmup.h - what a device makes once for each shape, made before the first job comes: on a device
 * that keeps sequences (kernels/queue.h), at each model's own size. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_WARMUP_H
#define DARKROOM_WORKER_ENGINE_WARMUP_H

#include "worker/engine/state.h"

/* Every number of rows that calls are made in, and a decode, twice: the second time they are kept.
 * A size that there is no memory for is left out, and lowered (ceiling.h). Nothing on other
 * devices. */
enum status warmup(struct engine *engine);

#endif
