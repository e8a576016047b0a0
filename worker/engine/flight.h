/* flight.h - turns that have been queued on the device and not been read yet.
 *
 * A device with queues works behind us: while turn n runs, turn n + 1 is gathered and queued, and
 * what came out of n is read when its event has passed. Two in flight a queue are enough for that;
 * more would only make a cancel and a newcomer wait. A device that has done its work when a call
 * returns has one at a time, which is read in the same turn.
 */
#ifndef DARKROOM_WORKER_ENGINE_FLIGHT_H
#define DARKROOM_WORKER_ENGINE_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "kernels/queue.h"
#include "worker/engine/pace.h"
#include "worker/engine/sample.h"

#define FLIGHTS_OF_A_QUEUE 2
#define FLIGHT_QUEUES 2 /* QUEUE_STEPS and QUEUE_DECODES */
_Static_assert(QUEUE_STEPS < FLIGHT_QUEUES && QUEUE_DECODES < FLIGHT_QUEUES, "they are indices");

/* A sample on board. It may leave before the flight has landed, and its slot be another's. */
struct passenger {
  struct sample *sample;
  uint64_t life;   /* sample->life when it came on board */
  bool step_ended; /* with this turn a step of the user's is done */
};

/* Latents of a passenger as they are after the turn, or a tiny decoder's picture of them, for a
 * preview. */
struct glimpse {
  const float *latents;      /* in the flight's; NULL: not brought along */
  const uint8_t *rgb;        /* likewise */
  const struct stage *stage; /* that they are of */
  float spread;              /* how far they spread beyond clean ones */
  uint32_t step;             /* of the image's, that it shows */
};

struct flight {
  uint64_t turn; /* its number, from 1; 0: a free place */
  enum queue queue;
  uint64_t follows; /* a turn of another queue that it waits for on the device, and is read after */
  int64_t queued_ns;   /* when queueing began */
  struct event *event; /* behind all of it */
  struct pace_work work;
  enum sample_need need; /* of a turn for one image: what it does */
  int rows, count;
  struct passenger passenger[BATCH_ROWS_MAX];
  int32_t *finite; /* pinned: what the device found, for each passenger */
  uint8_t *rgb;    /* pinned: the picture of a decode, or latents */
  float *latents;  /* pinned: of steps, those of previews, and pictures */
  size_t latent_bytes;
  struct glimpse glimpse[BATCH_ROWS_MAX]; /* by passenger */
};

struct flights {
  struct device *device;
  uint64_t turns; /* queued so far */
  int most;       /* in flight at once in one queue */
  size_t rgb_bytes, latent_bytes;
  int64_t landed_ns[FLIGHT_QUEUES]; /* the last one */
  struct flight place[FLIGHT_QUEUES][FLIGHTS_OF_A_QUEUE];
};

/* Takes events and pinned memory; pictures have at most rgb_bytes, latents latent_bytes. The device
 * is borrowed. */
enum status flights_open(struct flights *flights, struct device *device, size_t rgb_bytes,
                         size_t latent_bytes);
/* When nothing is in flight any more, or nobody will ask for it. */
void flights_close(struct flights *flights);

/* A free place in a queue, NULL when as many are in flight as may be. */
struct flight *flight_free(struct flights *flights, enum queue queue);
/* The flight that goes on board is in the queue in use, whole: it has its number from here on. */
enum status flight_depart(struct flights *flights, struct flight *flight);
/* A sample comes on board a flight that has departed. */
void flight_board(struct flight *flight, struct sample *sample, bool step_ended);
/* Whether the passenger is still the sample that came on board. */
bool passenger_here(const struct passenger *passenger);

/* The first in a queue that has not landed, NULL when there is none. */
struct flight *flight_first(struct flights *flights, enum queue queue);
/* The one queued next after it, in the same queue. */
struct flight *flight_after(struct flights *flights, const struct flight *flight);
/* The one that has this number, NULL when it has landed (or is 0). */
struct flight *flight_numbered(struct flights *flights, uint64_t turn);
bool flights_any(const struct flights *flights);

/* It has passed, at a time: its place is free, what it holds can be read until the place is taken
 * again. Gives how long it took from the end of the one before it in its queue, or from its own
 * beginning: so two that overlap are not counted double. */
uint64_t flight_land(struct flights *flights, struct flight *flight, int64_t ended_ns);
/* When it began, by the same reckoning. */
int64_t flight_began_ns(const struct flights *flights, const struct flight *flight);

#endif
