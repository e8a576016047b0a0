/* late_device.h - a device that works behind its caller, over "ref": its ops compute at once, but
 * nobody is told before its time. An event passes after some polls, by a seed; what is received
 * arrives then, and not before; a kept sequence must be the same in every address it was made with.
 *
 * What needs true lateness (memory given back too early, a missing wait between queues) is found by
 * the emulated GPU; this one shows in every build that an engine can live with it. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_LATE_DEVICE_H
#define DARKROOM_TESTS_UNIT_ENGINE_LATE_DEVICE_H

#include "tests/unit/engine/late_queue.h"

static inline enum status late_sequence(struct device *device, const struct sequence *sequence) {
  (void)device;
  bool known = false;
  for (int i = 0; i < late.keys; i++) {
    known = known || memcmp(late.key[i], sequence->key, sizeof late.key[i]) == 0;
  }
  if (!known && late.keys < LATE_KEYS_MAX) {
    memcpy(late.key[late.keys++], sequence->key, sizeof sequence->key);
  }
  return sequence->queue(sequence->context);
}
static inline void late_forget(struct device *device) {
  (void)device;
  late.forgotten++;
  late.keys = 0;
}
static inline enum status late_wait(struct device *device) {
  (void)device;
  for (int q = 0; q < QUEUE_COUNT; q++) {
    late_pass((enum queue)q, late.queued[q] + 1);
    late.passed[q] = late.queued[q];
  }
  return late.broken ? fail(BROKEN, "the late device is broken") : OK;
}

/* The device; late_close gives it back. keeps: whether it keeps sequences. */
static inline struct device *late_open(uint64_t seed, bool keeps, size_t memory_max) {
  static struct backend backend;
  static struct queues queues;
  late = (struct late){.seed = seed, .keeps = keeps};
  queues = (struct queues){.use = late_use,
                           .event_open = late_event_open,
                           .event_close = late_event_close,
                           .event_record = late_event_record,
                           .event_follow = late_event_follow,
                           .event_poll = late_event_poll,
                           .event_wait = late_event_wait,
                           .pin = late_pin,
                           .unpin = late_unpin,
                           .receive = late_receive,
                           .sequence = keeps ? late_sequence : NULL,
                           .forget = keeps ? late_forget : NULL};
  if (device_open("ref", NULL, &late.ref) != OK) {
    abort();
  }
  backend = *late.ref->backend;
  backend.queues = &queues;
  backend.wait = late_wait;
  late.device = *late.ref;
  late.device.backend = &backend;
  late.device.memory_max = memory_max;
  return &late.device; /* its name stays "ref": it computes as that does */
}
static inline void late_close(void) {
  (void)late_wait(&late.device);
  device_close(&late.ref);
}

#endif
