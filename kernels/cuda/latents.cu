/* latents.cu - the sampler's side: into the batch, on by one step, out as pixels, and a look at
 * the values.
 *
 * Must be moved, and is moved: gather 4 bytes in and a value out; advance every slot in and out,
 * one or two rows of the prediction (twice where they are rescaled), the noise, what a mask
 * keeps; pixels a value in and a byte out; finite a value.
 *
 * A verdict is set to 1 by a launch of its own, which finds the share of a rescaled output as well,
 * in front of the one that finds what is not finite: both lie in the stream, and in a sequence
 * that is captured from it.
 */
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/runs.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

/* ---- verdicts ---- */

__global__ void verdicts_kernel(int32_t *finite, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) {
    finite[i] = 1;
  }
}

cudaError_t start_verdicts(int32_t *finite, int64_t count, cudaStream_t stream) {
  constexpr int THREADS = 64; /* BATCH_ROWS_MAX in one block */
  return start_if_any(verdicts_kernel, {dim3(extent_of(parts_of(count, THREADS))), THREADS, 0},
                      stream, finite, count);
}

/* Any number of threads, in any order, with the same outcome. */
__device__ __forceinline__ void judge(int32_t *finite, bool bad) {
  if (bad) {
    atomicAnd(finite, 0);
  }
}

/* ---- gather ---- */

/* Value i of a row that has planes: of latents and planes side by side. */
__device__ __forceinline__ float beside_planes(const struct launch_gather &gather,
                                               const struct batch_row &row, int64_t i) {
  const int all = gather.channels + gather.planes, channel = static_cast<int>(i % all);
  const int64_t pixel = i / all;
  return channel < gather.channels ? row.scale * row.latents[pixel * gather.channels + channel]
                                   : row.planes[pixel * gather.planes + channel - gather.channels];
}

/* Block x, y: some values of image y. */
template <class T>
__global__ void gather_planes_kernel(const struct launch_gather gather) {
  const struct batch_row row = gather.rows[blockIdx.y];
  const int64_t values = gather.pixels * (gather.channels + gather.planes);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < values) {
    static_cast<T *>(gather.y)[blockIdx.y * values + i] = narrow<T>(beside_planes(gather, row, i));
  }
}

/* Block x, y: some runs of image y, without planes. `vector`: runs of y are aligned; whether those
 * of the latents are is seen here. */
template <class T>
__global__ void gather_kernel(const struct launch_gather gather, bool vector) {
  constexpr int N = RUN_VALUES_MAX;
  const struct batch_row row = gather.rows[blockIdx.y];
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  const int64_t count = gather.pixels * gather.channels;
  T *y = static_cast<T *>(gather.y) + blockIdx.y * count;
  if (vector && reinterpret_cast<uintptr_t>(row.latents) % RUN_BYTES_MAX == 0) {
    if (first < count) {
      float values[N];
      load_values<float, N>(row.latents + first, values);
#pragma unroll
      for (int i = 0; i < N; i++) {
        values[i] = row.scale * values[i];
      }
      store_values<T, N>(values, y + first);
    }
    return;
  }
  for (int64_t i = first; i < first + N && i < count; i++) {
    y[i] = narrow<T>(row.scale * row.latents[i]);
  }
}

template <class T>
cudaError_t start_gather(const struct launch_gather &gather, cudaStream_t stream) {
  constexpr int THREADS = 64; /* 64x64 latents of 4 channels are 32 blocks */
  const int64_t count = gather.pixels * (gather.channels + gather.planes);
  if (gather.planes > 0) {
    return start_if_any(
        gather_planes_kernel<T>,
        {dim3(extent_of(parts_of(count, 4 * THREADS)), extent_of(gather.images)), 4 * THREADS, 0},
        stream, gather);
  }
  const int64_t blocks = parts_of(count, int64_t{THREADS} * RUN_VALUES_MAX);
  return start_if_any(gather_kernel<T>,
                      {dim3(extent_of(blocks), extent_of(gather.images)), THREADS, 0}, stream,
                      gather, in_eights(count, is_aligned(gather.y)));
}

/* ---- advance ---- */

/* Values of a thread where they are aligned: with eight slots ten loads of 16 bytes. */
constexpr int ADVANCE_EACH = 4;
constexpr int ADVANCE_THREADS = 64; /* 64x64 latents of 4 channels are 64 blocks */

/* A sample as a thread sees it. matrix: in shared memory. */
struct advance_view {
  const struct batch_sample *sample;
  const float *matrix, *cond, *uncond; /* uncond: NULL for no guidance */
  int64_t values;
  int channels;
  float share; /* of the guided output */
};

/* ---- what a guided output is rescaled by ---- */

/* The sums of a thread over its values, then of the block. */
struct moments {
  double sum, square;
};

__device__ __forceinline__ void count_in(struct moments &moments, double value) {
  moments.sum += value;
  moments.square += value * value;
}

/* Of the lanes' moments; not below 0. */
__device__ double variance(const struct moments *lanes, int64_t count) {
  struct moments all = {};
  for (int l = 0; l < RESCALE_LANES; l++) {
    all.sum += lanes[l].sum;
    all.square += lanes[l].square;
  }
  const double mean = all.sum / static_cast<double>(count);
  const double found = all.square / static_cast<double>(count) - mean * mean;
  return found > 0 ? found : 0;
}

__device__ __forceinline__ float guided(const struct batch_sample *sample, float cond,
                                        float uncond) {
  return uncond + sample->guidance * (cond - uncond);
}

/* By RESCALE_LANES threads; the result in the first of them. */
__device__ float rescaled_share(const struct launch_advance &advance,
                                const struct batch_sample *sample) {
  struct moments *lanes = dynamic_shared<struct moments>(), *others = lanes + RESCALE_LANES;
  const float *cond = advance.prediction + sample->cond_row * advance.values;
  const float *uncond = advance.prediction + sample->uncond_row * advance.values;
  struct moments ours = {}, both = {};
  for (int64_t i = threadIdx.x; i < advance.values; i += RESCALE_LANES) {
    count_in(ours, cond[i]);
    count_in(both, guided(sample, cond[i], uncond[i]));
  }
  lanes[threadIdx.x] = ours;
  others[threadIdx.x] = both;
  __syncthreads();
  if (threadIdx.x != 0) {
    return 1;
  }
  const double spread = variance(others, advance.values), phi = sample->rescale;
  return spread > 0
             ? static_cast<float>(phi * sqrt(variance(lanes, advance.values) / spread) + (1 - phi))
             : 1;
}

/* Block x: sample x, whose verdict is set to 1, and its share. */
__global__ void __launch_bounds__(RESCALE_LANES)
    shares_kernel(const struct launch_advance advance) {
  const struct batch_sample *sample = advance.samples + blockIdx.x;
  const bool rescaled = sample->slots != nullptr && sample->uncond_row >= 0 && sample->rescale != 0;
  const float share = rescaled ? rescaled_share(advance, sample) : 1;
  if (threadIdx.x == 0) {
    advance.shares[blockIdx.x] = share;
    advance.finite[blockIdx.x] = 1;
  }
}

cudaError_t start_shares(const struct launch_advance &advance, cudaStream_t stream) {
  return start_if_any(
      shares_kernel,
      {dim3(extent_of(advance.count)), RESCALE_LANES, 2 * RESCALE_LANES * sizeof(struct moments)},
      stream, advance);
}

/* ---- slots ---- */

template <int N>
__device__ __forceinline__ void load_output(const struct advance_view &view, int64_t at,
                                            float (&out)[N]) {
  load_values<float, N>(view.cond + at, out);
  if (view.uncond != nullptr) {
    float uncond[N];
    load_values<float, N>(view.uncond + at, uncond);
#pragma unroll
    for (int i = 0; i < N; i++) {
      out[i] = view.share * guided(view.sample, out[i], uncond[i]);
    }
  }
}

/* Slot 0 where the picture may not change is the picture at this step's noise. */
template <int N>
__device__ __forceinline__ void keep_masked(const struct advance_view &view, int64_t at,
                                            float (&value)[N]) {
  const struct batch_sample *s = view.sample;
  float clean[N], begun[N];
  load_values<float, N>(s->clean + at, clean);
  load_values<float, N>(s->begun + at, begun);
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float mask = s->mask[(at + i) / view.channels];
    const float kept = s->keep_clean * clean[i] + s->keep_begun * begun[i];
    value[i] = mask == 1 ? value[i] : mask * value[i] + (1 - mask) * kept;
  }
}

/* N values of each of SLOTS slots. Products and sums are rounded one by one, in the order of the
 * columns. */
template <int SLOTS, int N>
__device__ __forceinline__ bool advance_slots(const struct advance_view &view, int64_t at) {
  constexpr int COLUMNS = SLOTS + 2;
  float before[COLUMNS][N] = {};
  float *slots = view.sample->slots + at;
#pragma unroll
  for (int s = 0; s < SLOTS; s++) {
    load_values<float, N>(slots + s * view.values, before[s]);
  }
  load_output<N>(view, at, before[SLOTS]);
  if (view.sample->noise != nullptr) {
    load_values<float, N>(view.sample->noise + at, before[SLOTS + 1]);
  }
  bool bad = false;
#pragma unroll
  for (int s = 0; s < SLOTS; s++) {
    float sums[N] = {};
#pragma unroll
    for (int c = 0; c < COLUMNS; c++) {
#pragma unroll
      for (int i = 0; i < N; i++) {
        sums[i] += view.matrix[s * COLUMNS + c] * before[c][i];
      }
    }
    if (s == 0 && view.sample->mask != nullptr) {
      keep_masked<N>(view, at, sums);
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
      bad = bad || !isfinite(sums[i]);
    }
    store_values<float, N>(sums, slots + s * view.values);
  }
  return bad;
}

/* The number of slots becomes one that the compiler knows, so that they lie in registers. */
template <int N, int SLOTS = SAMPLE_SLOTS_MAX>
__device__ __forceinline__ bool advance_any(const struct advance_view &view, int64_t at) {
  if constexpr (SLOTS > 0) {
    return view.sample->slot_count == SLOTS ? advance_slots<SLOTS, N>(view, at)
                                            : advance_any<N, SLOTS - 1>(view, at);
  } else {
    return true; /* a sample of no slots, or of more than there are, is not finite */
  }
}

/* Whether runs of four of all that a sample brings are aligned. */
__device__ __forceinline__ bool fours(const struct advance_view &view) {
  const uintptr_t all = reinterpret_cast<uintptr_t>(view.sample->slots) |
                        reinterpret_cast<uintptr_t>(view.sample->noise) |
                        reinterpret_cast<uintptr_t>(view.sample->clean) |
                        reinterpret_cast<uintptr_t>(view.sample->begun) |
                        reinterpret_cast<uintptr_t>(view.cond);
  return all % RUN_BYTES_MAX == 0 && view.values % ADVANCE_EACH == 0;
}

/* Block x, y: some values of sample y. */
__global__ void __launch_bounds__(ADVANCE_THREADS)
    advance_kernel(const struct launch_advance advance) {
  const struct batch_sample *sample = advance.samples + blockIdx.y;
  if (sample->slots == nullptr) {
    return; /* idle */
  }
  float *matrix = dynamic_shared<float>();
  for (unsigned i = threadIdx.x; i < sizeof sample->matrix / sizeof *matrix; i += blockDim.x) {
    matrix[i] = sample->matrix[i];
  }
  __syncthreads();
  const float *prediction = advance.prediction;
  const struct advance_view view = {
      sample,
      matrix,
      prediction + sample->cond_row * advance.values,
      sample->uncond_row < 0 ? nullptr : prediction + sample->uncond_row * advance.values,
      advance.values,
      advance.channels,
      advance.shares[blockIdx.y]};
  const int64_t first =
      (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * ADVANCE_EACH;
  bool bad = false;
  if (fours(view)) {
    bad = first < view.values && advance_any<ADVANCE_EACH>(view, first);
  } else {
    for (int64_t i = first; i < first + ADVANCE_EACH && i < view.values; i++) {
      bad = advance_any<1>(view, i) || bad;
    }
  }
  judge(advance.finite + blockIdx.y, bad);
}

cudaError_t start_advance(const struct launch_advance &advance, cudaStream_t stream) {
  const int64_t blocks = parts_of(advance.values, int64_t{ADVANCE_THREADS} * ADVANCE_EACH);
  return start_if_any(advance_kernel,
                      {dim3(extent_of(blocks), extent_of(advance.count)), ADVANCE_THREADS,
                       sizeof advance.samples->matrix},
                      stream, advance);
}

/* ---- pixels ---- */

constexpr int PIXELS_EACH = 16; /* of a thread: 16 bytes of y */

__device__ __forceinline__ uint8_t pixel_of(float value) {
  float unit = value / 2 + 0.5f;
  unit = unit > 0 ? unit : 0; /* NaN becomes 0 */
  unit = unit < 1 ? unit : 1;
  return static_cast<uint8_t>(rintf(unit * 255)); /* half to even */
}

template <class T>
__device__ __forceinline__ void write_pixels(const T *x, uint8_t *y) {
  run<uint8_t, PIXELS_EACH> pixels;
  run<T, RUN_VALUES_MAX> halves[2];
  halves[0] = load_run<T, RUN_VALUES_MAX>(x);
  halves[1] = load_run<T, RUN_VALUES_MAX>(x + RUN_VALUES_MAX);
#pragma unroll
  for (int i = 0; i < PIXELS_EACH; i++) {
    pixels.value[i] = pixel_of(value_of(halves[i / RUN_VALUES_MAX], i % RUN_VALUES_MAX));
  }
  *reinterpret_cast<run<uint8_t, PIXELS_EACH> *>(y) = pixels;
}

template <class T>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    pixels_kernel(const struct launch_pixels pixels, bool aligned) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * PIXELS_EACH;
  const T *x = static_cast<const T *>(pixels.x);
  if (aligned && first + PIXELS_EACH <= pixels.values) {
    write_pixels<T>(x + first, pixels.y + first);
    return;
  }
  for (int64_t i = first; i < first + PIXELS_EACH && i < pixels.values; i++) {
    pixels.y[i] = pixel_of(widen(x[i]));
  }
}

template <class T>
cudaError_t start_pixels(const struct launch_pixels &pixels, cudaStream_t stream) {
  constexpr int THREADS = 128; /* small blocks: 512x512 pixels are 384 of them */
  const struct blocks blocks = {
      dim3(extent_of(parts_of(pixels.values, int64_t{THREADS} * PIXELS_EACH))), THREADS, 0};
  return start_if_any(pixels_kernel<T>, blocks, stream, pixels,
                      is_aligned(pixels.x) && is_aligned(pixels.y));
}

/* ---- finite ---- */

constexpr int FINITE_DEPTH = 4; /* runs of a thread */

/* Block x, y: some runs of image y. */
template <class T, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    finite_kernel(const struct launch_finite finite) {
  const int64_t total = finite.values / N;
  const T *x = static_cast<const T *>(finite.x) + blockIdx.y * finite.values;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x * FINITE_DEPTH + threadIdx.x;
  run<T, N> runs[FINITE_DEPTH] = {};
#pragma unroll
  for (int d = 0; d < FINITE_DEPTH; d++) {
    if (first + static_cast<int64_t>(d) * blockDim.x < total) {
      runs[d] = load_run<T, N>(x + (first + static_cast<int64_t>(d) * blockDim.x) * N);
    }
  }
  bool bad = false;
#pragma unroll
  for (int d = 0; d < FINITE_DEPTH; d++) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      bad = bad || !isfinite(value_of(runs[d], i));
    }
  }
  judge(finite.finite + blockIdx.y, bad);
}

template <class T, int N>
cudaError_t start_finite_runs(const struct launch_finite &finite, cudaStream_t stream) {
  constexpr int THREADS = 256;
  const int64_t blocks = parts_of(finite.values / N, int64_t{THREADS} * FINITE_DEPTH);
  return start_if_any(finite_kernel<T, N>,
                      {dim3(extent_of(blocks), extent_of(finite.images)), THREADS, 0}, stream,
                      finite);
}

template <class T>
cudaError_t start_finite(const struct launch_finite &finite, cudaStream_t stream) {
  const bool eights = in_eights(finite.values, is_aligned(finite.x));
  return eights ? start_finite_runs<T, RUN_VALUES_MAX>(finite, stream)
                : start_finite_runs<T, 1>(finite, stream);
}

}  // namespace

cudaError_t launch_gather(const struct launch_gather *gather, cudaStream_t stream) {
  return BY_ELEMENT(gather->element, start_gather, *gather, stream);
}

cudaError_t launch_advance(const struct launch_advance *advance, cudaStream_t stream) {
  const cudaError_t error = start_shares(*advance, stream);
  return error != cudaSuccess ? error : start_advance(*advance, stream);
}

cudaError_t launch_pixels(const struct launch_pixels *pixels, cudaStream_t stream) {
  return BY_ELEMENT(pixels->element, start_pixels, *pixels, stream);
}

cudaError_t launch_finite(const struct launch_finite *finite, cudaStream_t stream) {
  const cudaError_t error = start_verdicts(finite->finite, finite->images, stream);
  return error != cudaSuccess ? error : BY_ELEMENT(finite->element, start_finite, *finite, stream);
}
