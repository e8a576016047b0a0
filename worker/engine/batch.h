/* batch.h - rows of one shape gathered into one U-Net call, and scattered back. */
#ifndef DARKROOM_WORKER_ENGINE_BATCH_H
#define DARKROOM_WORKER_ENGINE_BATCH_H

#include "worker/engine/sample.h"

struct batch {
  int count; /* samples */
  int rows;  /* of the U-Net call: one or two a sample */
  struct sample *samples[BATCH_ROWS_MAX];
  int32_t finite[BATCH_ROWS_MAX]; /* of each sample after batch_run: whether its slots are finite */
};

/* Whom the device serves next: who is due first, NULL when nobody is here. */
struct sample *batch_head(struct sample *samples, int count);
/* The head and all that can go along with it, first due first, in rows_max rows: the head always
 * goes. None has ended. */
void batch_gather(struct sample *head, struct sample *samples, int count, int rows_max,
                  struct batch *out);
/* One row of every sample's plan, each at its own timestep: U-Net, guidance, sampler. Cursors move
 * on. */
enum status batch_run(struct batch *batch, struct device *device, struct arena *scratch,
                      const struct drawing_room *room);
/* Scratch memory that batch_run takes at most for so many rows of the task's shape. */
size_t batch_bytes(const struct task *task, struct device *device, int rows);

#endif
