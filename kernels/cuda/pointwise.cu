/* pointwise.cu - what happens to each value by itself, a run of values a thread.
 *
 * Must be moved, and is moved, for each result: geglu two values and the result; epilogue a
 * product, a residual if there is one, and the result; bias and channel_add are read once for up
 * to 16 pixels.
 */
#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/runs.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

/* ---- geglu ---- */

/* A row of the sheet is a row of y in runs. */
template <class T, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    geglu_kernel(const struct launch_geglu geglu, const struct sheet sheet) {
  constexpr int DEPTH = LOADS_UNDER_WAY / 2; /* two loads each */
  const struct sheet_place place = place_in(sheet);
  const int64_t width = geglu.width;
  const T *x = static_cast<const T *>(geglu.x) + place.column * N;
  T *y = static_cast<T *>(geglu.y) + place.column * N;
  run<T, N> linear[DEPTH], gate[DEPTH];
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    if (has_row(sheet, place, d)) {
      linear[d] = load_run<T, N>(x + row_of(place, d) * 2 * width);
      gate[d] = load_run<T, N>(x + row_of(place, d) * 2 * width + width);
    }
  }
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    if (has_row(sheet, place, d)) {
      float values[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        values[i] = value_of(linear[d], i) * gelu(value_of(gate[d], i));
      }
      store_values<T, N>(values, y + row_of(place, d) * width);
    }
  }
}

template <class T>
cudaError_t start_geglu(const struct launch_geglu &geglu, cudaStream_t stream) {
  const bool eights = in_eights(geglu.width, is_aligned(geglu.x) && is_aligned(geglu.y));
  const int columns = eights ? geglu.width / RUN_VALUES_MAX : geglu.width;
  const struct sheet sheet = sheet_of(geglu.rows, columns, LOADS_UNDER_WAY / 2);
  return start_if_any(eights ? geglu_kernel<T, RUN_VALUES_MAX> : geglu_kernel<T, 1>,
                      sheet_blocks(sheet, 1), stream, geglu, sheet);
}

/* ---- epilogue ---- */

/* Pixels of a thread, where there are enough: what belongs to its channels is read once for
 * them. */
constexpr int EPILOGUE_DEPTH = 16;

/* Values of a type that is known at run time. */
template <int N>
__device__ __forceinline__ void load_any(const void *from, enum launch_element element,
                                         int64_t index, float (&to)[N]) {
  if (element == LAUNCH_F32) {
    load_values<float, N>(static_cast<const float *>(from) + index, to);
  } else if (element == LAUNCH_BF16) {
    load_values<__nv_bfloat16, N>(static_cast<const __nv_bfloat16 *>(from) + index, to);
  } else {
    load_values<__half, N>(static_cast<const __half *>(from) + index, to);
  }
}

/* What the thread's channels get before and after the activation. */
template <int N>
struct terms {
  float before[N], after[N];
};

template <int N>
__device__ __forceinline__ struct terms<N> terms_of(const struct launch_epilogue &e, int channel) {
  struct terms<N> terms = {};
  if (e.bias != nullptr) {
    load_values<float, N>(e.bias + channel, terms.before);
  }
  if (e.channel_add != nullptr) {
    load_any<N>(e.channel_add, e.add_element,
                static_cast<int64_t>(blockIdx.z) * e.channels + channel, terms.after);
  }
  return terms;
}

/* Rows `first` and the following of the thread's, whose channels begin at `start`. */
template <class X, class Y, int N>
__device__ __forceinline__ void finish_rows(const struct launch_epilogue &e,
                                            const struct sheet &sheet,
                                            const struct sheet_place &place, int first,
                                            int64_t start, const struct terms<N> &terms) {
  constexpr int DEPTH = LOADS_UNDER_WAY / 2; /* two loads each */
  run<X, N> products[DEPTH];
  run<Y, N> residuals[DEPTH];
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    const int64_t at = start + row_of(place, first + d) * e.channels;
    if (has_row(sheet, place, first + d)) {
      products[d] = load_run<X, N>(static_cast<const X *>(e.x) + at);
      if (e.residual != nullptr) {
        residuals[d] = load_run<Y, N>(static_cast<const Y *>(e.residual) + at);
      }
    }
  }
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    if (has_row(sheet, place, first + d)) {
      float values[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        const float sum = value_of(products[d], i) + terms.before[i];
        values[i] = activated<Y>(sum, e.activation) + terms.after[i];
        values[i] += e.residual != nullptr ? value_of(residuals[d], i) : 0;
      }
      store_values<Y, N>(values,
                         static_cast<Y *>(e.y) + start + row_of(place, first + d) * e.channels);
    }
  }
}

/* A row of the sheet is a pixel in runs, a layer is an image. */
template <class X, class Y, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX, sizeof(X) + sizeof(Y) == 4 ? 2 : 1)
    epilogue_kernel(const struct launch_epilogue e, const struct sheet sheet) {
  const struct sheet_place place = place_in(sheet);
  if (!place.inside) {
    return;
  }
  const int channel = place.column * N;
  const int64_t start = blockIdx.z * e.pixels * e.channels + channel;
  const struct terms<N> terms = terms_of<N>(e, channel);
  for (int first = 0; has_row(sheet, place, first); first += LOADS_UNDER_WAY / 2) {
    finish_rows<X, Y, N>(e, sheet, place, first, start, terms);
  }
}

template <class X, class Y>
cudaError_t start_epilogue_from(const struct launch_epilogue &whole, cudaStream_t stream) {
  struct launch_epilogue e = whole;
  if (e.channel_add == nullptr) { /* then images are only more pixels */
    e.pixels *= e.images;
    e.images = 1;
  }
  const bool aligned = is_aligned(e.x) && is_aligned(e.y) && is_aligned(e.residual) &&
                       is_aligned(e.bias) && is_aligned(e.channel_add);
  const bool eights = in_eights(e.channels, aligned);
  const struct sheet sheet =
      sheet_of(e.pixels, eights ? e.channels / RUN_VALUES_MAX : e.channels, EPILOGUE_DEPTH);
  return start_if_any(eights ? epilogue_kernel<X, Y, RUN_VALUES_MAX> : epilogue_kernel<X, Y, 1>,
                      sheet_blocks(sheet, e.images), stream, e, sheet);
}

template <class Y>
cudaError_t start_epilogue(const struct launch_epilogue &e, cudaStream_t stream) {
  switch (e.x_element) {
    case LAUNCH_F32:
      return start_epilogue_from<float, Y>(e, stream);
    case LAUNCH_BF16:
      return start_epilogue_from<__nv_bfloat16, Y>(e, stream);
    case LAUNCH_F16:
      return start_epilogue_from<__half, Y>(e, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t launch_geglu(const struct launch_geglu *geglu, cudaStream_t stream) {
  return BY_ELEMENT(geglu->element, start_geglu, *geglu, stream);
}

cudaError_t launch_epilogue(const struct launch_epilogue *epilogue, cudaStream_t stream) {
  if (epilogue->activation >= LAUNCH_SOFT_CLAMP) {
    return cudaErrorInvalidValue;
  }
  return BY_ELEMENT(epilogue->element, start_epilogue, *epilogue, stream);
}
