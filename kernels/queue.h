/* queue.h - a device that works behind its caller: queues, events, memory that copies can use while
 * the host goes on, and sequences of ops that are queued again and again.
 *
 * What goes into one queue runs in the order in which it was queued; queues run beside one another.
 * On a device whose memory is the host's ("ref", "cpu") every call has done its work when it
 * returns: there is one queue, and every event has passed as soon as it is recorded. So code
 * written for the one kind runs on the other, turn by turn as before.
 */
#ifndef DARKROOM_KERNELS_QUEUE_H
#define DARKROOM_KERNELS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/device.h"

enum queue { QUEUE_STEPS, QUEUE_DECODES, QUEUE_COPIES };
#define QUEUE_COUNT 3

/* Whether work of different queues can run at once: then each needs scratch memory of its own. */
bool device_has_queues(const struct device *device);
/* What is queued from here on (ops, device_put, device_receive, events) goes into this queue;
 * QUEUE_STEPS after device_open. */
void device_use(struct device *device, enum queue queue);

/* ---- events ---- */

/* A place in a queue. Belongs to a device, opened and closed by the caller, recorded any number of
 * times. One that was never recorded has passed. */
struct event;
enum status event_open(struct device *device, struct event **out);
/* NULL and pointer to NULL are fine. */
void event_close(struct event **event);
/* The place behind all that is in the queue in use. */
enum status event_record(struct event *event);
/* What is queued from here on in the queue in use runs when the event has passed. The host does not
 * wait. */
enum status event_follow(struct event *event);
/* Whether all before it has run. BROKEN if any work of the device failed: the process must end, for
 * nothing on the device can be trusted. */
enum status event_poll(struct event *event, bool *passed);
/* Waits for it; counts progress (base/progress.h) when it has passed. BROKEN likewise. */
enum status event_wait(struct event *event);

/* ---- memory of the host that copies can use while the host goes on ---- */

/* 64-byte aligned, not zeroed. EXHAUSTED. Given back with the same number of bytes, when no copy
 * uses it. */
enum status device_pin(struct device *device, size_t bytes, void **out);
void device_unpin(struct device *device, void **block, size_t bytes);
/* Queues a copy of `bytes` = tensor_bytes(from) into pinned memory, which must live, and be left
 * alone, until an event recorded behind it has passed. */
enum status device_receive(struct device *device, const struct tensor *from, void *host,
                           size_t bytes);

/* ---- sequences ---- */

/* A number of ops that is queued again and again, with the same shapes at the same addresses and
 * other data in them: a device may keep it whole and give it to the hardware at once. The key must
 * differ whenever a shape or an address does. queue() only calls ops: no device_put, no
 * device_get, no events, no memory taken from the device. */
struct sequence {
  uint64_t key[4];
  enum status (*queue)(void *context);
  void *context;
};
/* Queues it. The outcome is queue()'s, or the device's. */
enum status device_sequence(struct device *device, const struct sequence *sequence);
/* Whether sequences of few shapes are faster here than ones that fit: rows are then brought to a
 * few fixed numbers. */
bool device_keeps_sequences(const struct device *device);
/* Forgets all sequences, after waiting for them: their addresses are about to change. */
void device_forget_sequences(struct device *device);

#endif
