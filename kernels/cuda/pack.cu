/* pack.cu - weights, once when they are loaded, from the checkpoint's order into that of the
 * products.
 *
 * Must be moved, and is moved: everything once in and once out. The nine readings of a line of a
 * convolution's kernel come from the L1 cache but for the first.
 */
#include "kernels/cuda/sheet.cuh"

namespace {

/* Block x, y: some inputs of output x. Threads stand side by side on inputs: y is written in
 * whole lines. */
template <class From, class To>
__global__ void pack_kernel(const struct launch_pack pack) {
  const int64_t output = blockIdx.x;
  const int64_t input = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (input >= pack.inputs) {
    return;
  }
  const From *x = static_cast<const From *>(pack.x) + (output * pack.inputs + input) * pack.kernel;
  To *y = static_cast<To *>(pack.y) + output * pack.kernel * pack.inputs + input;
  for (int k = 0; k < pack.kernel; k++) {
    y[k * pack.inputs] = narrow<To>(widen(x[k]));
  }
}

/* Of the three taps of a side, those that fall on tap 0 or 1 of a parity: first to last. */
__device__ __forceinline__ int first_of(int parity, int tap) { return tap == 0 ? 0 : 1 + parity; }
__device__ __forceinline__ int last_of(int parity, int tap) { return tap == 0 ? parity : 2; }

template <class From, class To>
__global__ void pack_doubled_kernel(const struct launch_pack pack) {
  const int64_t output = blockIdx.x;
  const int64_t input = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (input >= pack.inputs) {
    return;
  }
  const From *x = static_cast<const From *>(pack.x) + (output * pack.inputs + input) * 9;
  for (int to = 0; to < 16; to++) { /* parity's row, column, tap's row, column */
    const int down = to / 8, across = to / 4 % 2, row = to / 2 % 2, column = to % 2;
    float sum = 0;
    for (int i = first_of(down, row); i <= last_of(down, row); i++) {
      for (int j = first_of(across, column); j <= last_of(across, column); j++) {
        sum += widen(x[i * 3 + j]);
      }
    }
    const int64_t parity = to / 4, tap = to % 4;
    static_cast<To *>(pack.y)[((parity * pack.outputs + output) * 4 + tap) * pack.inputs + input] =
        narrow<To>(sum);
  }
}

template <class From, class To>
cudaError_t start_pack_from(const struct launch_pack &pack, cudaStream_t stream) {
  constexpr int THREADS = 128;
  const struct blocks blocks = {
      dim3(extent_of(pack.outputs), extent_of(parts_of(pack.inputs, THREADS))), THREADS, 0};
  return start_if_any(pack.doubled ? pack_doubled_kernel<From, To> : pack_kernel<From, To>, blocks,
                      stream, pack);
}

template <class To>
cudaError_t start_pack(const struct launch_pack &pack, cudaStream_t stream) {
  switch (pack.from) {
    case LAUNCH_F32:
      return start_pack_from<float, To>(pack, stream);
    case LAUNCH_BF16:
      return start_pack_from<__nv_bfloat16, To>(pack, stream);
    case LAUNCH_F16:
      return start_pack_from<__half, To>(pack, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_pack(const struct launch_pack *pack, cudaStream_t stream) {
  return BY_ELEMENT(pack->to, start_pack, *pack, stream);
}
