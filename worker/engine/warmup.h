/* warmup.h - what a device makes once for each shape, made before the first job comes, at the own
 * size of each model that is at home: on a device that keeps sequences (kernels/queue.h) or
 * prepares its ops. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_WARMUP_H
#define DARKROOM_WORKER_ENGINE_WARMUP_H

#include "worker/engine/state.h"

/* Every number of rows that calls are made in, and a decode, twice: the second time they are kept.
 * A size that there is no memory for is left out, and lowered (ceiling.h). Where no sequences are
 * kept, the call and the decode of one picture, as far as each is short, and what the call takes is
 * noted (pace.h). Nothing on a device that does not prepare. */
enum status warmup(struct engine *engine);

#endif
