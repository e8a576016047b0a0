/* launch.h - how a kernel is launched: cudaLaunchKernelEx(&config, kernel, arguments...), the one
 * form that both nvcc and g++ can read.
 */
#ifndef DARKROOM_EMULATION_LAUNCH_H
#define DARKROOM_EMULATION_LAUNCH_H

#include <functional>
#include <new>
#include <tuple>
#include <utility>

#include "emulation/api.h"

enum cudaLaunchAttributeID {
  cudaLaunchAttributeIgnore = 0,
  cudaLaunchAttributeCooperative = 2,
  cudaLaunchAttributeClusterDimension = 4,
  cudaLaunchAttributeProgrammaticStreamSerialization = 6,
  cudaLaunchAttributePriority = 8
};
union cudaLaunchAttributeValue {
  char pad[64];
  int cooperative;
  struct {
    unsigned x, y, z;
  } clusterDim;
  int programmaticStreamSerializationAllowed;
  int priority;
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  char pad[4];
  cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute *attrs;
  unsigned numAttrs;
};

enum cudaFuncAttribute {
  cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
  cudaFuncAttributePreferredSharedMemoryCarveout = 9
};

namespace emulation {

/* A kernel with its arguments, bound; the arguments' bytes are looked through for host pointers. */
struct Call {
  const void *kernel;
  std::function<void()> thread; /* what one thread of it does */
  const void *arguments;
  size_t arguments_bytes;
};
cudaError_t launch(const cudaLaunchConfig_t &config, const Call &call);
cudaError_t function_attribute(const void *kernel, cudaFuncAttribute attribute, int value);
cudaError_t active_blocks(int *out, int threads, size_t shared_bytes);

}  // namespace emulation

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments &&...arguments) {
  /* In memory that was cleared: what lies between arguments would be looked at as well. */
  using Values = std::tuple<std::decay_t<Parameters>...>;
  alignas(Values) unsigned char room[sizeof(Values)] = {};
  const Values &values = *new (room) Values(std::forward<Arguments>(arguments)...);
  auto thread = [kernel, values] { std::apply(kernel, values); };
  return emulation::launch(
      *config, {reinterpret_cast<const void *>(kernel), thread, &values, sizeof values});
}

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute,
                                 int value) {
  return emulation::function_attribute(reinterpret_cast<const void *>(kernel), attribute, value);
}

template <typename... Parameters>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, void (*)(Parameters...),
                                                          int threads, size_t shared_bytes) {
  return emulation::active_blocks(out, threads, shared_bytes);
}

template <typename T>
cudaError_t cudaMalloc(T **out, size_t bytes) {
  return cudaMalloc(reinterpret_cast<void **>(out), bytes);
}
template <typename T>
cudaError_t cudaMallocHost(T **out, size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void **>(out), bytes);
}

#endif
