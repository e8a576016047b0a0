/* pool.h - a stretch of memory handed out in pieces. What is free is written down in the host's
 * memory, so the stretch itself may be the device's: it is never touched here.
 *
 * Places are offsets. Pieces are aligned to POOL_ALIGNMENT; the first gap that is large enough is
 * taken, and neighbouring gaps become one, so that what was taken can be had again in any order.
 */
#ifndef DARKROOM_KERNELS_CUDA_POOL_H
#define DARKROOM_KERNELS_CUDA_POOL_H

#include <stddef.h>

#include "base/status.h"

#define POOL_ALIGNMENT 256 /* what the runtime promises of its own allocations */

struct pool;

/* bytes is rounded down to whole pieces of alignment. */
enum status pool_open(size_t bytes, struct pool **out);
void pool_close(struct pool **pool);

/* EXHAUSTED when no gap is large enough. 0 bytes give a place of their own. */
enum status pool_take(struct pool *pool, size_t bytes, size_t *offset);
/* Gives back what was taken, with the same number of bytes. Never fails. */
void pool_drop(struct pool *pool, size_t offset, size_t bytes);

/* All that is free, and the most that one piece can have of it. */
size_t pool_left(const struct pool *pool);
size_t pool_largest(const struct pool *pool);

#endif
