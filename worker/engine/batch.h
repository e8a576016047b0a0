/* batch.h - rows of one shape gathered into one U-Net call, and scattered back. */
#ifndef DARKROOM_WORKER_ENGINE_BATCH_H
#define DARKROOM_WORKER_ENGINE_BATCH_H

#include <stdbool.h>

#include "worker/engine/sample.h"

struct batch {
  int count; /* samples */
  int rows;  /* of the U-Net call: one or two a sample */
  int rows_max;
  struct sample *samples[BATCH_ROWS_MAX];
};

/* For which kinds of turns there is room. */
struct batch_room {
  bool steps, decodes;
  bool tiles; /* of a picture in turns */
};
/* Whom the device serves next: who is due first among those it has room for, NULL when there is
 * none. */
struct sample *batch_head(struct sample *samples, int count, struct batch_room room);
/* The head and all that can go along with it, first due first, in rows_max rows: the head always
 * goes. None has ended. */
void batch_gather(struct sample *head, struct sample *samples, int count, int rows_max,
                  struct batch *out);
/* Where a turn of the U-Net works. scratch keeps its address as long as sequences are kept. */
struct workplace {
  struct device *device;
  struct arena *scratch;
  struct drawing_room room;
};

/* What a queued turn has left to read: finite i32, for each sample whether its slots are finite. It
 * lies in the scratch: queue what reads it before the next turn. */
struct batch_outcome {
  struct tensor finite;
};

/* Queues one row of every sample's plan, each at its own timestep: U-Net, guidance, sampler, in
 * batch_call_rows() rows. After a failure no sample has changed. */
enum status batch_queue(const struct batch *batch, const struct workplace *place,
                        struct batch_outcome *out);
/* The same call for nobody: its rows are the sample's, all places are idle. So a device makes what
 * it makes once. */
enum status batch_queue_idle(const struct sample *sample, int rows, const struct workplace *place);
/* Rows of the call that so many rows are made in: on a device that keeps sequences one of a few
 * numbers, but no more than rows_max; else just as many. */
int batch_call_rows(const struct device *device, int rows, int rows_max);
/* The first of these numbers that is larger than `rows`, or rows_max. */
int batch_next_rows(int rows, int rows_max);
/* Scratch memory that batch_queue takes at most for so many rows of the stage's shape. */
size_t batch_bytes(const struct stage *stage, struct device *device, int rows);

#endif
