/* queue.c - the streams in use as queues, events in them, and pinned memory. */
#include <assert.h>
#include <stdlib.h>

#include "kernels/cuda/cuda.h"

struct cuda_event {
  struct event head;
  cudaEvent_t event;
};

static struct cuda *device_of(const struct event *event) { return cuda_of(event->device); }
static cudaEvent_t place_of(const struct event *event) {
  return ((const struct cuda_event *)event)->event;
}

static void use(struct device *device, enum queue queue) {
  struct cuda *cuda = (struct cuda *)device;
  assert(!cuda->capturing);
  cuda->queue = queue;
}

/* ---- events ---- */

/* Who waits sleeps: the process has other threads, and spinning would take a core from them. */
static enum status open_event(struct device *device, struct event **out) {
  struct cuda *cuda = cuda_of(device);
  struct cuda_event *event = calloc(1, sizeof *event);
  if (event == NULL) {
    return fail(EXHAUSTED, "no memory for an event");
  }
  event->head.device = device;
  enum status status =
      CUDA(cuda,
           cudaEventCreateWithFlags(&event->event, cudaEventDisableTiming | cudaEventBlockingSync));
  if (status != OK) {
    free(event);
    return status;
  }
  *out = &event->head;
  return OK;
}

static void close_event(struct event *event) {
  (void)cudaEventDestroy(place_of(event));
  free(event);
}

static enum status record_event(struct event *event) {
  struct cuda *cuda = device_of(event);
  assert(!cuda->capturing);
  return CUDA(cuda, cudaEventRecord(place_of(event), cuda_stream(cuda)));
}

static enum status follow_event(struct event *event) {
  struct cuda *cuda = device_of(event);
  assert(!cuda->capturing);
  return CUDA(cuda, cudaStreamWaitEvent(cuda_stream(cuda), place_of(event), 0));
}

static enum status poll_event(struct event *event, bool *passed) {
  struct cuda *cuda = device_of(event);
  return cuda_ready(cuda, cudaEventQuery(place_of(event)), "cudaEventQuery", passed);
}

static enum status wait_event(struct event *event) {
  struct cuda *cuda = device_of(event);
  return CUDA(cuda, cudaEventSynchronize(place_of(event)));
}

/* ---- pinned memory ---- */

static enum status pin(struct device *device, size_t bytes, void **out) {
  struct cuda *cuda = cuda_of(device);
  void *block = NULL;
  TRY(CUDA(cuda, cudaHostAlloc(&block, bytes == 0 ? 1 : bytes, cudaHostAllocDefault)));
  *out = block;
  return OK;
}

static void unpin(struct device *device, void *block, size_t bytes) {
  (void)cuda_of(device);
  (void)bytes;
  (void)cudaFreeHost(block);
}

static enum status receive(struct device *device, const void *from, void *host, size_t bytes) {
  struct cuda *cuda = cuda_of(device);
  assert(!cuda->capturing);
  return CUDA(cuda, cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, cuda_stream(cuda)));
}

const struct queues cuda_queues = {
    .use = use,
    .event_open = open_event,
    .event_close = close_event,
    .event_record = record_event,
    .event_follow = follow_event,
    .event_poll = poll_event,
    .event_wait = wait_event,
    .pin = pin,
    .unpin = unpin,
    .receive = receive,
    .sequence = cuda_sequence,
    .forget = cuda_forget,
};
