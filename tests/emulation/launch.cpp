/* launch.cpp - what is checked before a kernel is queued, and what happens when its turn comes. */
#include <pthread.h>

#include <cstring>
#include <map>

#include "tests/emulation/library.h"
#include "tests/emulation/machine.h"

/* AddressSanitizer's; gcc does not install the header. Whether a block of the heap begins there. */
extern "C" int __sanitizer_get_ownership(const volatile void *address);

namespace emulation {

/* Of compute capability 9.0 (CUDA C++ programming guide, "Compute Capabilities"). */
constexpr unsigned THREADS_OF_A_BLOCK = 1024, DEPTH_OF_A_BLOCK = 64, GRID_SIDE = 65535;
constexpr size_t SHARED_BYTES = size_t{48} << 10, SHARED_BYTES_OPTIN = size_t{227} << 10;

static std::map<const void *, size_t> allowed_shared;

cudaError_t function_attribute(const void *kernel, cudaFuncAttribute attribute, int value) {
  Entry entry;
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || static_cast<size_t>(value) > SHARED_BYTES_OPTIN) {
      return outcome(cudaErrorInvalidValue);
    }
    allowed_shared[kernel] = static_cast<size_t>(value);
  }
  return broken();
}

cudaError_t active_blocks(int *out, int threads, size_t shared_bytes) {
  Entry entry;
  if (threads <= 0 || threads > static_cast<int>(THREADS_OF_A_BLOCK) ||
      shared_bytes > SHARED_BYTES_OPTIN) {
    return outcome(cudaErrorInvalidValue);
  }
  int by_threads = 2048 / threads;
  int by_memory = static_cast<int>((size_t{228} << 10) / (shared_bytes + 1024));
  *out = by_threads < by_memory ? by_threads : by_memory;
  return broken();
}

static bool shape_is_possible(const cudaLaunchConfig_t &c) {
  const dim3 &grid = c.gridDim, &size = c.blockDim;
  bool there = grid.x > 0 && grid.y > 0 && grid.z > 0 && size.x > 0 && size.y > 0 && size.z > 0;
  return there && size.x <= THREADS_OF_A_BLOCK && size.y <= THREADS_OF_A_BLOCK &&
         size.z <= DEPTH_OF_A_BLOCK && uint64_t{size.x} * size.y * size.z <= THREADS_OF_A_BLOCK &&
         grid.x <= INT32_MAX && grid.y <= GRID_SIDE && grid.z <= GRID_SIDE;
}

static bool shared_is_allowed(const cudaLaunchConfig_t &c, const void *kernel) {
  auto allowed = allowed_shared.find(kernel);
  return c.dynamicSmemBytes <= SHARED_BYTES ||
         (allowed != allowed_shared.end() && c.dynamicSmemBytes <= allowed->second);
}

static bool on_own_stack(const void *address) {
  pthread_attr_t attributes;
  void *bottom = nullptr;
  size_t bytes = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &bottom, &bytes);
    pthread_attr_destroy(&attributes);
  }
  return address >= bottom && address < static_cast<char *>(bottom) + bytes;
}

/* A kernel cannot follow a pointer into the host's memory, unless that is pinned. */
static void look_for_host_pointers(const Call &call) {
  auto *bytes = static_cast<const char *>(call.arguments);
  for (size_t at = 0; at + sizeof(void *) <= call.arguments_bytes; at += sizeof(void *)) {
    void *word;
    memcpy(&word, bytes + at, sizeof word);
    bool heap = word != nullptr && __sanitizer_get_ownership(word) != 0;
    if ((heap && region_of(word).kind == Kind::pageable) || on_own_stack(word)) {
      refuse("a kernel is given %p, which is the host's (byte %zu of its arguments)", word, at);
    }
  }
}

static void run_or_fail(const Shape &shape, const std::function<void()> &thread) {
  if (fault_strikes(Fault::hang)) {
    never_end();
  } else if (fault_strikes(Fault::launch)) {
    break_device(cudaErrorIllegalAddress);
  } else if (!fault_strikes(Fault::skip)) {
    run_kernel(shape, thread);
  }
}

cudaError_t launch(const cudaLaunchConfig_t &config, const Call &call) {
  Entry entry;
  auto stream = stream_of(config.stream);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess) {
    return broken();
  }
  if (!shape_is_possible(config)) {
    return outcome(cudaErrorInvalidConfiguration);
  }
  if (!shared_is_allowed(config, call.kernel)) {
    return outcome(cudaErrorInvalidValue);
  }
  for (unsigned i = 0; i < config.numAttrs; i++) {
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension ||
        config.attrs[i].id == cudaLaunchAttributeCooperative) {
      return outcome(cudaErrorNotSupported);
    }
  }
  look_for_host_pointers(call);
  Shape shape = {config.gridDim, config.blockDim, config.dynamicSmemBytes};
  return enqueue(stream, [shape, thread = call.thread] { run_or_fail(shape, thread); });
}

}  // namespace emulation

using namespace emulation;

cudaError_t emulation_queue(cudaStream_t handle, void (*run)(const void *arguments),
                            const void *arguments, size_t bytes) {
  Entry entry;
  auto stream = stream_of(handle);
  if (stream == nullptr) {
    return outcome(cudaErrorInvalidResourceHandle);
  }
  if (broken() != cudaSuccess) {
    return broken();
  }
  auto *first = static_cast<const char *>(arguments);
  std::vector<char> copy(first, first + bytes);
  return enqueue(stream, [run, copy] { run(copy.data()); });
}

int emulation_library_fails(void) {
  Entry entry;
  return fault_strikes(Fault::library) ? 1 : 0;
}
