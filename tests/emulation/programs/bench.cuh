/* bench.cuh - what the tests of the emulated runtime start from: two streams, two events, memory.
 */
#ifndef DARKROOM_EMULATION_BENCH_CUH
#define DARKROOM_EMULATION_BENCH_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cstring>
#include <vector>

extern "C" { /* its header does not say so itself */
#include <cmocka.h>
}

/* What failed is said by name, and leaves no last error behind. */
#define OK(call) assert_string_equal(cudaGetErrorName(call), "cudaSuccess")
#define FAILS(error, call)                                                              \
  do {                                                                                  \
    assert_string_equal(cudaGetErrorName(call), cudaGetErrorName(error));               \
    assert_string_equal(cudaGetErrorName(cudaGetLastError()), cudaGetErrorName(error)); \
  } while (0)

namespace {

constexpr int COUNT = 192;

[[maybe_unused]] __global__ void set_all(int *values, int value) {
  values[blockIdx.x * blockDim.x + threadIdx.x] = value;
}
[[maybe_unused]] __global__ void add_to_all(int *values, int value) {
  values[blockIdx.x * blockDim.x + threadIdx.x] += value;
}
[[maybe_unused]] __global__ void fill_shared(int *) {
  auto *bytes = static_cast<char *>(emulation::dynamic_shared());
  size_t room = emulation::dynamic_shared_bytes();
  if (threadIdx.x == 0 && room > 0) {
    bytes[0] = bytes[room - 1] = 1;
  }
}

template <typename... Parameters, typename... Arguments>
void start_kernel(cudaStream_t stream, unsigned threads, void (*kernel)(Parameters...),
                  Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(COUNT / threads);
  config.blockDim = dim3(threads);
  config.stream = stream;
  OK(cudaLaunchKernelEx(&config, kernel, arguments...));
}

struct Two {
  int *values; /* COUNT, on the device */
  cudaStream_t a, b;
  cudaEvent_t event, back;

  Two() {
    OK(cudaMalloc(&values, COUNT * sizeof(int)));
    OK(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaEventCreateWithFlags(&back, cudaEventDisableTiming));
  }
  ~Two() {
    OK(cudaFree(values));
    OK(cudaStreamDestroy(a));
    OK(cudaStreamDestroy(b));
    OK(cudaEventDestroy(event));
    OK(cudaEventDestroy(back));
  }
  Two(const Two &) = delete;
  Two &operator=(const Two &) = delete;

  void start(cudaStream_t stream, void (*kernel)(int *, int), int value) {
    start_kernel(stream, 64, kernel, values, value);
  }
  /* Its own copy in a third stream: waits for nothing but itself. */
  int fetched(int i) {
    int value;
    OK(cudaMemcpy(&value, values + i, sizeof value, cudaMemcpyDeviceToHost));
    return value;
  }
};

}  // namespace

#endif
