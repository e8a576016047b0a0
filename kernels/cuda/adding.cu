/* adding.cu - what is added row by row, activations by themselves, and what stands behind the
 * encoders of words and pictures.
 *
 * Must be moved, and is moved: activate a value in and out; control_add two in and one out;
 * add_rows, weigh and posterior are small.
 */
#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/runs.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

/* ---- activations ---- */

template <class T, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    activate_kernel(const struct launch_activate activate) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (first < activate.values) {
    float values[N];
    load_values<T, N>(static_cast<const T *>(activate.x) + first, values);
#pragma unroll
    for (int i = 0; i < N; i++) {
      values[i] = activated_alone<T>(values[i], activate.activation);
    }
    store_values<T, N>(values, static_cast<T *>(activate.y) + first);
  }
}

template <class T>
cudaError_t start_activate(const struct launch_activate &activate, cudaStream_t stream) {
  constexpr int THREADS = 256;
  const bool eights = in_eights(activate.values, is_aligned(activate.x) && is_aligned(activate.y));
  const int64_t runs = eights ? activate.values / RUN_VALUES_MAX : activate.values;
  return start_if_any(eights ? activate_kernel<T, RUN_VALUES_MAX> : activate_kernel<T, 1>,
                      {dim3(extent_of(parts_of(runs, THREADS))), THREADS, 0}, stream, activate);
}

/* ---- sums ---- */

template <class T>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    add_rows_kernel(const struct launch_add_rows add) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const T *added = static_cast<const T *>(add.rows[blockIdx.y].added);
  if (i < add.width) {
    const int64_t at = blockIdx.y * add.width + i;
    float sum = widen(static_cast<const T *>(add.x)[at]);
    sum += added != nullptr ? widen(added[add.first + i]) : 0;
    static_cast<T *>(add.y)[at] = narrow<T>(activated<T>(sum, LAUNCH_SILU));
  }
}

template <class T>
cudaError_t start_add_rows(const struct launch_add_rows &add, cudaStream_t stream) {
  constexpr int THREADS = 128;
  return start_if_any(
      add_rows_kernel<T>,
      {dim3(extent_of(parts_of(add.width, THREADS)), extent_of(add.images)), THREADS, 0}, stream,
      add);
}

/* Runs of N, or value by value where the hint of a row begins anywhere. */
template <class T, int N>
__device__ __forceinline__ void add_scaled(const T *x, float scale, T *y) {
  float values[N], sums[N];
  load_values<T, N>(x, values);
  load_values<T, N>(y, sums);
#pragma unroll
  for (int i = 0; i < N; i++) {
    sums[i] += scale * values[i];
  }
  store_values<T, N>(sums, y);
}

/* Block x, y: some runs of image y. */
template <class T, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    control_kernel(const struct launch_control control) {
  const struct batch_control *told = control.controls + blockIdx.y;
  const bool is_hint = control.x == nullptr;
  const float scale = is_hint ? 1 : told->scale[control.skip];
  const T *x = is_hint ? static_cast<const T *>(told->hint)
                       : static_cast<const T *>(control.x) + blockIdx.y * control.values;
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (scale == 0 || x == nullptr || first >= control.values) {
    return;
  }
  T *y = static_cast<T *>(control.y) + blockIdx.y * control.values + first;
  if (N == 1 || reinterpret_cast<uintptr_t>(x) % RUN_BYTES_MAX == 0) {
    add_scaled<T, N>(x + first, scale, y);
    return;
  }
  if constexpr (N > 1) {
    for (int i = 0; i < N; i++) {
      add_scaled<T, 1>(x + first + i, scale, y + i);
    }
  }
}

template <class T>
cudaError_t start_control(const struct launch_control &control, cudaStream_t stream) {
  constexpr int THREADS = 256;
  const bool eights = in_eights(control.values, is_aligned(control.x) && is_aligned(control.y));
  const int64_t runs = eights ? control.values / RUN_VALUES_MAX : control.values;
  return start_if_any(
      eights ? control_kernel<T, RUN_VALUES_MAX> : control_kernel<T, 1>,
      {dim3(extent_of(parts_of(runs, THREADS)), extent_of(control.images)), THREADS, 0}, stream,
      control);
}

/* ---- emphasis ---- */

constexpr int WEIGH_THREADS = 256;

/* One block: the sums in f64 by thread, then in the order of the threads. */
template <class T>
__global__ void __launch_bounds__(WEIGH_THREADS) weigh_kernel(const struct launch_weigh weigh) {
  double *before = dynamic_shared<double>(), *after = before + WEIGH_THREADS;
  const int64_t count = weigh.tokens * weigh.width;
  T *x = static_cast<T *>(weigh.x);
  double sums[2] = {};
  for (int64_t i = threadIdx.x; i < count; i += WEIGH_THREADS) {
    const double value = widen(x[i]);
    sums[0] += value;
    sums[1] += value * weigh.weights[i / weigh.width];
  }
  before[threadIdx.x] = sums[0];
  after[threadIdx.x] = sums[1];
  __syncthreads();
  double all[2] = {};
  for (int t = 0; t < WEIGH_THREADS; t++) {
    all[0] += before[t];
    all[1] += after[t];
  }
  const float share = all[1] != 0 ? static_cast<float>(all[0] / all[1]) : 1;
  for (int64_t i = threadIdx.x; i < count; i += WEIGH_THREADS) {
    x[i] = narrow<T>(widen(x[i]) * weigh.weights[i / weigh.width] * share);
  }
}

template <class T>
cudaError_t start_weigh(const struct launch_weigh &weigh, cudaStream_t stream) {
  return start_if_any(weigh_kernel<T>, {dim3(1), WEIGH_THREADS, 2 * WEIGH_THREADS * sizeof(double)},
                      stream, weigh);
}

/* ---- a sample of a picture's latents ---- */

template <class T>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    posterior_kernel(const struct launch_posterior posterior) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= posterior.pixels * posterior.channels) {
    return;
  }
  const T *mean = static_cast<const T *>(posterior.moments) +
                  i / posterior.channels * 2 * posterior.channels + i % posterior.channels;
  float sample = widen(*mean);
  if (posterior.noise != nullptr) {
    float v = widen(mean[posterior.channels]);
    v = v < -30 ? -30 : v > 20 ? 20 : v; /* NaN stays NaN */
    sample += expf(v / 2) * posterior.noise[i];
  }
  posterior.y[i] = sample * posterior.scale;
}

template <class T>
cudaError_t start_posterior(const struct launch_posterior &posterior, cudaStream_t stream) {
  constexpr int THREADS = 256;
  const int64_t blocks = parts_of(posterior.pixels * posterior.channels, THREADS);
  return start_if_any(posterior_kernel<T>, {dim3(extent_of(blocks)), THREADS, 0}, stream,
                      posterior);
}

}  // namespace

cudaError_t launch_activate(const struct launch_activate *activate, cudaStream_t stream) {
  return BY_ELEMENT(activate->element, start_activate, *activate, stream);
}

cudaError_t launch_add_rows(const struct launch_add_rows *add, cudaStream_t stream) {
  return BY_ELEMENT(add->element, start_add_rows, *add, stream);
}

cudaError_t launch_control(const struct launch_control *control, cudaStream_t stream) {
  return BY_ELEMENT(control->element, start_control, *control, stream);
}

cudaError_t launch_weigh(const struct launch_weigh *weigh, cudaStream_t stream) {
  return BY_ELEMENT(weigh->element, start_weigh, *weigh, stream);
}

cudaError_t launch_posterior(const struct launch_posterior *posterior, cudaStream_t stream) {
  return BY_ELEMENT(posterior->element, start_posterior, *posterior, stream);
}
