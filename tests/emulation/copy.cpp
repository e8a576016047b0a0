/* copy.cpp - copies and fills. Pageable memory is read during the call and written before it returns,
 * pinned memory when the stream gets there: as CUDA documents it ("API synchronization behavior").
 */
#include <cstring>

#include "tests/emulation/machine.h"

namespace emulation {

static bool inside(const Region &region, const void *at, size_t bytes) {
  auto *first = static_cast<const char *>(at);
  return first >= region.first && bytes <= region.bytes &&
         static_cast<size_t>(first - region.first) <= region.bytes - bytes;
}

struct Transfer {
  void *to;
  const void *from;
  size_t bytes;
  Region target, source;
};

static bool reads_device(cudaMemcpyKind kind) {
  return kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
}
static bool writes_device(cudaMemcpyKind kind) {
  return kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
}

/* Whether the kind says what the addresses are, and the bytes lie in one block each. */
static bool plausible(const Transfer &t, cudaMemcpyKind kind) {
  bool from_device = t.source.kind == Kind::device, to_device = t.target.kind == Kind::device;
  bool said = kind == cudaMemcpyDefault ||
              (reads_device(kind) == from_device && writes_device(kind) == to_device);
  return said && (t.target.kind == Kind::pageable || inside(t.target, t.to, t.bytes)) &&
         (t.source.kind == Kind::pageable || inside(t.source, t.from, t.bytes));
}

/* An operation opens its stream's device; a copy between devices opens the other as well. */
static void transfer(const Transfer &t) {
  if (fault_strikes(Fault::copy)) {
    break_device(cudaErrorECCUncorrectable);
    return;
  }
  const Region &other = t.source.kind == Kind::device ? t.source : t.target;
  if (other.kind == Kind::device) {
    Opened opened(other.device);
    memmove(t.to, t.from, t.bytes);
  } else {
    memmove(t.to, t.from, t.bytes);
  }
}

static cudaError_t copy_behind(const std::shared_ptr<Stream> &stream, Transfer t) {
  bool reads_pageable = t.source.kind == Kind::pageable;
  bool writes_pageable = t.target.kind == Kind::pageable;
  if ((reads_pageable || writes_pageable) && stream->capture != nullptr) {
    stream->capture->invalid = true; /* CUDA would read it at each replay; nobody can mean that */
    return outcome(cudaErrorStreamCaptureUnsupported);
  }
  cudaError_t error;
  if (reads_pageable) {
    auto *first = static_cast<const char *>(t.from);
    auto staged = std::make_shared<std::vector<char>>(first, first + t.bytes);
    error = enqueue(stream, [t, staged]() mutable {
      t.from = staged->data();
      transfer(t);
    });
  } else {
    error = enqueue(stream, [t] { transfer(t); });
  }
  if (error == cudaSuccess && writes_pageable) {
    error = run_until({stream, stream->issued});
  }
  return error;
}

static cudaError_t copy(const std::shared_ptr<Stream> &stream, Transfer t, cudaMemcpyKind kind) {
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess || t.bytes == 0) {
    return broken();
  }
  t.target = region_of(t.to);
  t.source = region_of(t.from);
  if (!plausible(t, kind)) {
    return outcome(cudaErrorInvalidValue);
  }
  return copy_behind(stream, t);
}

static cudaError_t fill(const std::shared_ptr<Stream> &stream, void *to, int value, size_t bytes) {
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess || bytes == 0) {
    return broken();
  }
  Region target = region_of(to);
  if (target.kind == Kind::pageable || !inside(target, to, bytes)) {
    return outcome(cudaErrorInvalidValue);
  }
  return enqueue(stream, [to, value, bytes] { memset(to, value, bytes); });
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Entry entry;
  return copy(stream_of(stream), {to, from, bytes, {}, {}}, kind);
}

/* Waits, but for copies that no host takes part in. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
  Entry entry;
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureImplicit);
  }
  auto stream = stream_of(nullptr);
  cudaError_t error = copy(stream, {to, from, bytes, {}, {}}, kind);
  bool on_device = region_of(to).kind == Kind::device && region_of(from).kind == Kind::device;
  return error != cudaSuccess || on_device ? error : run_until({stream, stream->issued});
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  Entry entry;
  return fill(stream_of(stream), to, value, bytes);
}
cudaError_t cudaMemset(void *to, int value, size_t bytes) {
  Entry entry;
  if (forbidden_by_capture()) {
    return outcome(cudaErrorStreamCaptureImplicit);
  }
  return fill(stream_of(nullptr), to, value, bytes);
}
