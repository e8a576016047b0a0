/* late_queue.h - queues of the late device (late_device.h): what is known of them, events, and
 * bytes that arrive when an event passes. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_LATE_QUEUE_H
#define DARKROOM_TESTS_UNIT_ENGINE_LATE_QUEUE_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"

enum { LATE_COPIES_MAX = 256, LATE_KEYS_MAX = 256 };

/* Bytes on their way to the host. */
struct late_copy {
  uint64_t place; /* in its queue */
  enum queue queue;
  void *host, *bytes;
  size_t count;
};

static struct late {
  struct device *ref;
  struct device device;
  uint64_t seed;
  enum queue queue;
  uint64_t queued[QUEUE_COUNT], passed[QUEUE_COUNT];
  int copies;
  struct late_copy copy[LATE_COPIES_MAX];
  int keys, forgotten, waits, most_in_flight;
  bool keeps, broken;
  uint64_t key[LATE_KEYS_MAX][4];
} late;

struct late_event {
  struct event head;
  enum queue queue;
  uint64_t place; /* 0: never recorded */
  int polls;      /* left until it passes */
};

static inline uint32_t late_random(void) {
  late.seed = late.seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(late.seed >> 33);
}

/* All of the queue up to there has run: what it sent arrives. */
static inline void late_pass(enum queue queue, uint64_t place) {
  int kept = 0;
  late.passed[queue] = place > late.passed[queue] ? place : late.passed[queue];
  for (int i = 0; i < late.copies; i++) {
    struct late_copy *copy = &late.copy[i];
    if (copy->queue != queue || copy->place > late.passed[queue]) {
      late.copy[kept++] = *copy;
      continue;
    }
    memcpy(copy->host, copy->bytes, copy->count);
    free(copy->bytes);
  }
  late.copies = kept;
}

static inline void late_use(struct device *device, enum queue queue) {
  (void)device;
  late.queue = queue;
}
static inline enum status late_event_open(struct device *device, struct event **out) {
  struct late_event *event = calloc(1, sizeof *event);
  event->head.device = device;
  *out = &event->head;
  return OK;
}
static inline void late_event_close(struct event *event) { free(event); }
static inline enum status late_event_record(struct event *event) {
  struct late_event *own = (struct late_event *)event;
  own->queue = late.queue;
  own->place = ++late.queued[late.queue];
  own->polls = (int)(late_random() % 4);
  return OK;
}
static inline enum status late_event_follow(struct event *event) {
  (void)event;
  return OK;
}
static inline enum status late_event_wait(struct event *event) {
  struct late_event *own = (struct late_event *)event;
  late.waits++;
  late_pass(own->queue, own->place);
  return late.broken ? fail(BROKEN, "the late device is broken") : OK;
}
static inline enum status late_event_poll(struct event *event, bool *passed) {
  struct late_event *own = (struct late_event *)event;
  *passed = own->place <= late.passed[own->queue] || own->polls-- <= 0;
  return *passed ? late_event_wait(event) : OK;
}
static inline enum status late_pin(struct device *device, size_t bytes, void **out) {
  (void)device;
  *out = malloc(bytes);
  memset(*out, 0x5a, bytes);
  return OK;
}
static inline void late_unpin(struct device *device, void *block, size_t bytes) {
  (void)device, (void)bytes;
  free(block);
}
static inline enum status late_receive(struct device *device, const void *from, void *host,
                                       size_t bytes) {
  (void)device;
  struct late_copy copy = {late.queued[late.queue] + 1, late.queue, host, malloc(bytes), bytes};
  memcpy(copy.bytes, from, bytes);
  memset(host, 0x5a, bytes); /* whoever looks too early sees this */
  late.copy[late.copies++] = copy;
  return OK;
}

#endif
