/* leaving.h - what belongs to nobody any more while a turn in flight still uses it: an image that
 * was cancelled or has failed is gone at once for whoever asked, but the device may be in the
 * middle of its latents. Given back when that turn has landed. */
#ifndef DARKROOM_WORKER_ENGINE_LEAVING_H
#define DARKROOM_WORKER_ENGINE_LEAVING_H

#include "worker/engine/flight.h"

/* A sample leaves once and is a passenger of what it waits for. */
#define LEAVING_MAX (FLIGHT_QUEUES * FLIGHTS_OF_A_QUEUE * BATCH_ROWS_MAX)

struct leaving {
  int count;
  struct leaver {
    uint64_t turn; /* the last one that uses it */
    size_t bytes;  /* of the budget */
    struct arena *memory;
    struct recipe *recipe;
  } row[LEAVING_MAX];
};

/* Takes over the memory of a sample, which took so many bytes, and holds its recipe. */
void leaving_add(struct leaving *leaving, struct sample *sample, size_t bytes);
/* Gives back what no turn in flight uses any more. */
void leaving_settle(struct leaving *leaving, struct flights *flights, struct budget *budget);

#endif
