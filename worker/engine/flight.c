/* flight.c - places for turns under way, their events, their landing. */
#include "worker/engine/flight.h"

#include <assert.h>
#include <string.h>

#define NS_PER_US 1000

static const size_t finite_bytes = BATCH_ROWS_MAX * sizeof(int32_t);

static enum status place_open(struct flights *flights, enum queue queue, struct flight *flight) {
  flight->queue = queue;
  TRY(event_open(flights->device, &flight->event));
  TRY(device_pin(flights->device, finite_bytes, (void **)&flight->finite));
  if (queue == QUEUE_DECODES) {
    return device_pin(flights->device, flights->rgb_bytes, (void **)&flight->rgb);
  }
  flight->latent_bytes = flights->latent_bytes;
  return device_pin(flights->device, flights->latent_bytes, (void **)&flight->latents);
}

enum status flights_open(struct flights *flights, struct device *device, size_t rgb_bytes,
                         size_t latent_bytes) {
  *flights = (struct flights){.device = device,
                              .most = device_has_queues(device) ? FLIGHTS_OF_A_QUEUE : 1,
                              .rgb_bytes = rgb_bytes,
                              .latent_bytes = latent_bytes};
  for (int q = 0; q < FLIGHT_QUEUES; q++) {
    for (int i = 0; i < flights->most; i++) {
      TRY(place_open(flights, (enum queue)q, &flights->place[q][i]));
    }
  }
  return OK;
}

void flights_close(struct flights *flights) {
  for (int i = 0; i < FLIGHT_QUEUES * FLIGHTS_OF_A_QUEUE; i++) {
    struct flight *flight = &flights->place[i / FLIGHTS_OF_A_QUEUE][i % FLIGHTS_OF_A_QUEUE];
    event_close(&flight->event);
    if (flights->device == NULL) { /* never opened */
      continue;
    }
    device_unpin(flights->device, (void **)&flight->finite, finite_bytes);
    device_unpin(flights->device, (void **)&flight->rgb, flights->rgb_bytes);
    device_unpin(flights->device, (void **)&flight->latents, flights->latent_bytes);
    flight->turn = 0;
  }
}

struct flight *flight_free(struct flights *flights, enum queue queue) {
  for (int i = 0; i < flights->most; i++) {
    if (flights->place[queue][i].turn == 0) {
      return &flights->place[queue][i];
    }
  }
  return NULL;
}

enum status flight_depart(struct flights *flights, struct flight *flight) {
  TRY(event_record(flight->event));
  flight->turn = ++flights->turns;
  flight->count = 0;
  return OK;
}

void flight_board(struct flight *flight, struct sample *sample, bool step_ended) {
  assert(flight->turn != 0 && flight->count < BATCH_ROWS_MAX);
  flight->passenger[flight->count++] =
      (struct passenger){.sample = sample, .life = sample->life, .step_ended = step_ended};
  sample->last_turn = flight->turn;
}

bool passenger_here(const struct passenger *passenger) {
  return passenger->sample->task != NULL && passenger->sample->life == passenger->life;
}

/* The lowest number above one. */
static struct flight *first_above(struct flights *flights, enum queue queue, uint64_t turn) {
  struct flight *first = NULL;
  for (int i = 0; i < flights->most; i++) {
    struct flight *flight = &flights->place[queue][i];
    if (flight->turn > turn && (first == NULL || flight->turn < first->turn)) {
      first = flight;
    }
  }
  return first;
}

struct flight *flight_first(struct flights *flights, enum queue queue) {
  return first_above(flights, queue, 0);
}

struct flight *flight_after(struct flights *flights, const struct flight *flight) {
  return first_above(flights, flight->queue, flight->turn);
}

struct flight *flight_numbered(struct flights *flights, uint64_t turn) {
  for (int i = 0; turn != 0 && i < FLIGHT_QUEUES * FLIGHTS_OF_A_QUEUE; i++) {
    struct flight *flight = &flights->place[i / FLIGHTS_OF_A_QUEUE][i % FLIGHTS_OF_A_QUEUE];
    if (flight->turn == turn) {
      return flight;
    }
  }
  return NULL;
}

bool flights_any(const struct flights *flights) {
  for (int i = 0; i < FLIGHT_QUEUES * FLIGHTS_OF_A_QUEUE; i++) {
    if (flights->place[i / FLIGHTS_OF_A_QUEUE][i % FLIGHTS_OF_A_QUEUE].turn != 0) {
      return true;
    }
  }
  return false;
}

int64_t flight_began_ns(const struct flights *flights, const struct flight *flight) {
  int64_t before = flights->landed_ns[flight->queue];
  return flight->queued_ns > before ? flight->queued_ns : before;
}

uint64_t flight_land(struct flights *flights, struct flight *flight, int64_t ended_ns) {
  int64_t took_ns = ended_ns - flight_began_ns(flights, flight);
  flights->landed_ns[flight->queue] = ended_ns;
  flight->turn = 0;
  return took_ns > 0 ? (uint64_t)(took_ns / NS_PER_US) : 0;
}
