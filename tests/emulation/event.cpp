/* event.cpp - places in streams that hosts and other streams wait for. */
#include <time.h>

#include <map>

#include "tests/emulation/machine.h"

namespace emulation {

struct Event {
  unsigned flags;
  Point point;      /* no stream: never recorded */
  double seconds;   /* when it passed */
  Capture *capture; /* recorded in a stream that is being captured */
  std::vector<int> frontier;
};
static std::map<cudaEvent_t, std::shared_ptr<Event>> open_events;

static std::shared_ptr<Event> event_of(cudaEvent_t event) {
  auto found = open_events.find(event);
  return found == open_events.end() ? nullptr : found->second;
}

static double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void forget_capture(const Capture *capture) {
  for (auto &entry : open_events) {
    if (entry.second->capture == capture) {
      entry.second->capture = nullptr;
    }
  }
}

}  // namespace emulation

using namespace emulation;

#define EVENT_OR_RETURN(name, handle)               \
  auto name = event_of(handle);                     \
  if (name == nullptr) {                            \
    return outcome(cudaErrorInvalidResourceHandle); \
  }                                                 \
  if (broken() != cudaSuccess) {                    \
    return broken();                                \
  }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
  Entry entry;
  if (broken() != cudaSuccess) {
    return broken();
  }
  auto event = std::make_shared<Event>();
  event->flags = flags;
  *out = reinterpret_cast<cudaEvent_t>(event.get());
  open_events[*out] = event;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Entry entry;
  return open_events.erase(event) == 0 ? outcome(cudaErrorInvalidResourceHandle) : broken();
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  Entry entry;
  EVENT_OR_RETURN(event, handle)
  auto stream = stream_of(stream_handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (stream->capture != nullptr) {
    event->capture = stream->capture;
    event->frontier = stream->frontier;
    return cudaSuccess;
  }
  event->capture = nullptr;
  cudaError_t error = enqueue(stream, [event] { event->seconds = now(); });
  event->point = {stream, stream->issued};
  return error;
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  Entry entry;
  EVENT_OR_RETURN(event, handle)
  if (event->capture != nullptr) {
    event->capture->invalid = true;
    return outcome(cudaErrorCapturedEvent);
  }
  if (!passed(event->point)) {
    run_some();
  }
  if (broken() != cudaSuccess) {
    return broken();
  }
  return passed(event->point) ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  Entry entry;
  EVENT_OR_RETURN(event, handle)
  if (event->capture != nullptr) {
    event->capture->invalid = true;
    return outcome(cudaErrorCapturedEvent);
  }
  return run_until(event->point);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t handle, unsigned) {
  Entry entry;
  EVENT_OR_RETURN(event, handle)
  auto stream = stream_of(stream_handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (event->capture != nullptr) {
    return capture_join(stream, event->capture, event->frontier);
  }
  if (stream->capture != nullptr && event->point.stream != nullptr) {
    stream->capture->invalid = true;
    return outcome(cudaErrorStreamCaptureIsolation);
  }
  if (passed(event->point)) {
    return cudaSuccess;
  }
  return enqueue(stream, nullptr, {event->point});
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start_handle,
                                 cudaEvent_t end_handle) {
  Entry entry;
  EVENT_OR_RETURN(start, start_handle)
  EVENT_OR_RETURN(end, end_handle)
  if (((start->flags | end->flags) & cudaEventDisableTiming) != 0 ||
      start->point.stream == nullptr || end->point.stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (!passed(start->point) || !passed(end->point)) {
    return cudaErrorNotReady;
  }
  *milliseconds = static_cast<float>(1e3 * (end->seconds - start->seconds));
  return cudaSuccess;
}
