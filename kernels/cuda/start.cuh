/* start.cuh - a kernel's launch. */
#ifndef DARKROOM_KERNELS_CUDA_START_CUH
#define DARKROOM_KERNELS_CUDA_START_CUH

#include <cuda_runtime.h>

#define SHARED_BYTES_WITHOUT_ASKING (48 * 1024) /* CUDA C++ Programming Guide, "Shared Memory" */

struct blocks {
  dim3 count;
  int threads;         /* of each */
  size_t shared_bytes; /* dynamic, of each */
};

/* Queues the kernel on the stream; the error is the launch's. More shared memory than every device
 * gives is asked for anew each time, since the answer is the current device's. */
template <class... Parameters, class... Arguments>
cudaError_t start_blocks(void (*kernel)(Parameters...), const struct blocks &blocks,
                         cudaStream_t stream, Arguments &&...arguments) {
  if (blocks.shared_bytes > SHARED_BYTES_WITHOUT_ASKING) {
    const cudaError_t error = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(blocks.shared_bytes));
    if (error != cudaSuccess) {
      return error;
    }
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks.count;
  config.blockDim = dim3(static_cast<unsigned>(blocks.threads));
  config.dynamicSmemBytes = blocks.shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

#endif
