/* stream.cpp - streams are queues of work that is done when somebody waits: a host or another stream
 * that ought to have waited and has not sees old bytes. Which stream goes next is the dice's.
 */
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "tests/emulation/machine.h"

namespace emulation {

static std::map<cudaStream_t, std::shared_ptr<Stream>> open_streams;
static std::vector<std::shared_ptr<Stream>> busy; /* with work left; closed ones too */
static std::shared_ptr<Stream> legacy_streams[DEVICES_OF_A_MACHINE_MAX];
static uint64_t operations;

static Dice &stream_dice() {
  static Dice dice(4);
  return dice;
}

static std::shared_ptr<Stream> make_stream(unsigned flags, int priority) {
  auto stream = std::make_shared<Stream>();
  stream->device = current_device();
  stream->flags = flags;
  stream->priority = priority;
  return stream;
}

static std::shared_ptr<Stream> legacy_of(int device) {
  if (legacy_streams[device] == nullptr) {
    legacy_streams[device] = make_stream(cudaStreamDefault, 0);
    legacy_streams[device]->legacy = true;
  }
  return legacy_streams[device];
}

std::shared_ptr<Stream> stream_of(cudaStream_t stream) {
  if (stream == nullptr) {
    return legacy_of(current_device());
  }
  auto found = open_streams.find(stream);
  return found == open_streams.end() ? nullptr : found->second;
}

bool passed(const Point &point) {
  return point.stream == nullptr || point.stream->done >= point.ticket;
}

/* ---- doing the work ---- */

static bool can_go(const Stream &stream) {
  const Operation &next = stream.waiting.front();
  return !next.hangs && std::all_of(next.needs.begin(), next.needs.end(), passed);
}

static bool never_ends;
void never_end() { never_ends = true; }

static void hold(const std::shared_ptr<Stream> &stream, Operation operation) {
  if (stream->waiting.empty()) {
    busy.push_back(stream);
  }
  stream->waiting.push_front(std::move(operation));
}

static void run_next(std::shared_ptr<Stream> stream) {
  Operation next = std::move(stream->waiting.front());
  stream->waiting.pop_front();
  if (stream->waiting.empty()) {
    busy.erase(std::find(busy.begin(), busy.end(), stream));
  }
  if (broken() == cudaSuccess && next.run) {
    Opened opened(stream->device);
    next.run();
  }
  if (std::exchange(never_ends, false)) {
    next.hangs = true;
    hold(stream, std::move(next));
    return;
  }
  stream->done++;
}

/* One that can go on: the one that was asked first, or any. */
static std::shared_ptr<Stream> choose() {
  std::vector<std::shared_ptr<Stream>> able;
  for (const auto &stream : busy) {
    if (can_go(*stream)) {
      able.push_back(stream);
    }
  }
  if (able.empty()) {
    return nullptr;
  }
  if (settings().seed != 0) {
    return able[stream_dice().below(able.size())];
  }
  return *std::min_element(able.begin(), able.end(), [](const auto &a, const auto &b) {
    return a->waiting.front().order < b->waiting.front().order;
  });
}

/* A stream that the point needs and that can go on. */
static std::shared_ptr<Stream> choose_for(const Point &point) {
  if (passed(point) || point.stream->waiting.empty()) {
    return nullptr;
  }
  if (can_go(*point.stream)) {
    return point.stream;
  }
  for (const Point &need : point.stream->waiting.front().needs) {
    auto stream = choose_for(need);
    if (stream != nullptr) {
      return stream;
    }
  }
  return nullptr;
}

[[noreturn]] static void hang() {
  while (true) {
    pause(); /* as a device does that never answers */
  }
}

static bool something_hangs() {
  return std::any_of(busy.begin(), busy.end(),
                     [](const auto &stream) { return stream->waiting.front().hangs; });
}

/* Some waits do only what is needed, so that all else is as late as it can be; others leave it to
 * the dice. */
cudaError_t run_until(const Point &point) {
  bool lazily = settings().seed != 0 && stream_dice().one_in(2);
  std::vector<std::unique_ptr<Opened>> opened;
  for (int d = 0; d < settings().devices && settings().devices == 1; d++) {
    opened.push_back(std::make_unique<Opened>(d)); /* once for all of it */
  }
  while (!passed(point)) {
    auto stream = lazily ? choose_for(point) : choose();
    if (stream == nullptr && something_hangs()) {
      hang();
    }
    if (stream == nullptr) {
      refuse("streams wait for each other");
    }
    run_next(stream);
  }
  return broken();
}

void run_some() {
  constexpr size_t some = 64;
  size_t count = settings().seed == 0 ? some : stream_dice().below(some);
  for (size_t i = 0; i < count && !busy.empty(); i++) {
    auto stream = choose();
    if (stream == nullptr) {
      return;
    }
    run_next(stream);
  }
}

cudaError_t run_everything() {
  while (!busy.empty()) {
    auto stream = busy.back();
    run_until({stream, stream->issued});
  }
  return broken();
}

/* ---- queuing it ---- */

/* The legacy stream and those that were not made apart from it wait for one another. */
static void legacy_order(const Stream &stream, std::vector<Point> *needs) {
  if (stream.legacy) {
    for (const auto &other : busy) {
      if (other->device == stream.device && (other->flags & cudaStreamNonBlocking) == 0 &&
          !other->legacy) {
        needs->push_back({other, other->issued});
      }
    }
  } else if ((stream.flags & cudaStreamNonBlocking) == 0) {
    auto legacy = legacy_of(stream.device);
    needs->push_back({legacy, legacy->issued});
  }
}

cudaError_t enqueue(const std::shared_ptr<Stream> &stream, std::function<void()> run,
                    std::vector<Point> needs) {
  if (stream->capture != nullptr) {
    return capture_node(stream, std::move(run));
  }
  if (stream->legacy && forbidden_on_legacy()) {
    return outcome(cudaErrorStreamCaptureImplicit);
  }
  legacy_order(*stream, &needs);
  if (stream->waiting.empty()) {
    busy.push_back(stream);
  }
  stream->waiting.push_back({std::move(run), std::move(needs), operations++, false});
  stream->issued++;
  if (stream_dice().one_in(16)) {
    run_some(); /* a device that is fast */
  }
  return cudaSuccess;
}

}  // namespace emulation

using namespace emulation;

#define STREAM_OR_RETURN(name, handle)              \
  auto name = stream_of(handle);                    \
  if (name == nullptr) {                            \
    return outcome(cudaErrorInvalidResourceHandle); \
  }                                                 \
  if (broken() != cudaSuccess) {                    \
    return broken();                                \
  }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority) {
  Entry entry;
  if (broken() != cudaSuccess) {
    return broken();
  }
  auto stream = make_stream(flags, priority);
  *out = reinterpret_cast<cudaStream_t>(stream.get());
  open_streams[*out] = stream;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, 0, 0); }

/* What was queued is still done. */
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Entry entry;
  if (open_streams.erase(stream) == 0) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  return broken();
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  Entry entry;
  STREAM_OR_RETURN(stream, handle)
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  return run_until({stream, stream->issued});
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  Entry entry;
  STREAM_OR_RETURN(stream, handle)
  if (stream->capture != nullptr) {
    stream->capture->invalid = true;
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  run_some();
  if (broken() != cudaSuccess) {
    return broken();
  }
  return stream->waiting.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority) {
  Entry entry;
  STREAM_OR_RETURN(stream, handle)
  *priority = stream->priority;
  return cudaSuccess;
}
cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags) {
  Entry entry;
  STREAM_OR_RETURN(stream, handle)
  *flags = stream->flags;
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *data) {
  Entry entry;
  STREAM_OR_RETURN(stream, handle)
  return enqueue(stream, [function, data] { function(data); });
}

cudaError_t cudaDeviceSynchronize(void) {
  Entry entry;
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  return run_everything();
}
