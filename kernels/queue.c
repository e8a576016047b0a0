/* queue.c - queues for devices that have them; for those whose work is done when a call returns,
 * what remains of them: events that have always passed, and plain memory. */
#include "kernels/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/progress.h"
#include "kernels/backend.h"

static const struct queues *queues_of(const struct device *device) {
  return device->backend->queues;
}

bool device_has_queues(const struct device *device) { return queues_of(device) != NULL; }

void device_use(struct device *device, enum queue queue) {
  if (queues_of(device) != NULL) {
    queues_of(device)->use(device, queue);
  }
}

/* ---- events ---- */

enum status event_open(struct device *device, struct event **out) {
  if (queues_of(device) != NULL) {
    return queues_of(device)->event_open(device, out);
  }
  struct event *event = calloc(1, sizeof *event);
  if (event == NULL) {
    return fail(EXHAUSTED, "no memory for an event");
  }
  event->device = device;
  *out = event;
  return OK;
}

void event_close(struct event **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  const struct queues *queues = queues_of((*pointer)->device);
  if (queues != NULL) {
    queues->event_close(*pointer);
  } else {
    free(*pointer);
  }
  *pointer = NULL;
}

enum status event_record(struct event *event) {
  const struct queues *queues = queues_of(event->device);
  return queues != NULL ? queues->event_record(event) : OK;
}

enum status event_follow(struct event *event) {
  const struct queues *queues = queues_of(event->device);
  return queues != NULL ? queues->event_follow(event) : OK;
}

enum status event_poll(struct event *event, bool *passed) {
  const struct queues *queues = queues_of(event->device);
  if (queues != NULL) {
    return queues->event_poll(event, passed);
  }
  *passed = true;
  return OK;
}

enum status event_wait(struct event *event) {
  const struct queues *queues = queues_of(event->device);
  enum status status = queues != NULL ? queues->event_wait(event) : OK;
  progress_count();
  return status;
}

/* ---- pinned memory ---- */

enum status device_pin(struct device *device, size_t bytes, void **out) {
  if (queues_of(device) != NULL) {
    return queues_of(device)->pin(device, bytes, out);
  }
  void *block = host_take(device, bytes);
  if (block == NULL) {
    return fail(EXHAUSTED, "no memory for %zu bytes that copies can use", bytes);
  }
  *out = block;
  return OK;
}

void device_unpin(struct device *device, void **block, size_t bytes) {
  if (*block == NULL) {
    return;
  }
  if (queues_of(device) != NULL) {
    queues_of(device)->unpin(device, *block, bytes);
  } else {
    host_drop(device, *block, bytes);
  }
  *block = NULL;
}

enum status device_receive(struct device *device, const struct tensor *from, void *host,
                           size_t bytes) {
  assert(bytes == tensor_bytes(from));
  progress_count();
  return queues_of(device) != NULL ? queues_of(device)->receive(device, from->data, host, bytes)
                                   : device->backend->get(device, host, from->data, bytes);
}

/* ---- sequences ---- */

bool device_keeps_sequences(const struct device *device) {
  return queues_of(device) != NULL && queues_of(device)->sequence != NULL;
}

enum status device_sequence(struct device *device, const struct sequence *sequence) {
  return device_keeps_sequences(device) ? queues_of(device)->sequence(device, sequence)
                                        : sequence->queue(sequence->context);
}

void device_forget_sequences(struct device *device) {
  if (device_keeps_sequences(device)) {
    queues_of(device)->forget(device);
  }
}
