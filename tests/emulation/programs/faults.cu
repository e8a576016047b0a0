/* faults.cu - a device that fails when it is told to (EMULATION_FAULT): prints what each call says.
 */
#include <cuda_runtime.h>

#include <cstdio>

namespace {
__global__ void set_one(int *value, int to) { *value = to; }

void say(const char *what, cudaError_t error) { printf("%s %s\n", what, cudaGetErrorName(error)); }
}  // namespace

int main() {
  cudaStream_t stream;
  int *value, host = -1;
  void *pinned;
  say("stream", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  cudaError_t error = cudaMalloc(&value, sizeof *value);
  say("malloc", error);
  if (error != cudaSuccess) {
    say("last", cudaGetLastError());
    say("malloc", cudaMalloc(&value, sizeof *value));
  }
  say("pin", cudaMallocHost(&pinned, 64));
  for (int i = 1; i <= 3; i++) {
    cudaLaunchConfig_t config = {};
    config.stream = stream;
    config.gridDim = config.blockDim = dim3(1);
    say("launch", cudaLaunchKernelEx(&config, set_one, value, i));
    say("wait", cudaStreamSynchronize(stream));
  }
  say("copy", cudaMemcpy(&host, value, sizeof host, cudaMemcpyDeviceToHost));
  printf("value %d\n", host);
  say("last", cudaGetLastError());
  say("last", cudaGetLastError());
  (void)cudaFreeHost(pinned);
  return 0;
}
