/* norm_parts.cu - group norm of large pictures in two launches: the first cuts each image into
 * chunks of whole pixels and leaves mean and squares of every group's part of a chunk in the
 * scratch memory, the second puts those together, in the same order in every block, and
 * normalises.
 *
 * Both move whole pixels, 16 bytes a thread. A thread keeps its channels: what belongs to a
 * channel lies in registers. Must be moved: the tensor once in and once out. Is moved: in twice
 * and out once, of which the second reading comes from the L2 cache as far as that holds it (50
 * MB on an H100: all of 16 images of 64x64x320); so the second launch begins with the pixels
 * that the first ended with. The parts are 8 bytes for some 1 KB of values.
 */
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

constexpr int CHUNKS_MAX = 256; /* of an image: two blocks for each of 132 multiprocessors */
constexpr int THREADS = BLOCK_THREADS_MAX;

/* Runs of a thread that are under way in either launch: as many as leave the registers for
 * two blocks on a multiprocessor. */
template <class T>
constexpr int DEPTH = sizeof(T) == 2 ? 4 : 2;
template <class T>
constexpr int APPLY_DEPTH = sizeof(T) == 2 ? 4 : 1;

/* How an image is cut: by its shape alone, for the order of sums follows from it. */
struct cut {
  int runs, lines; /* threads: runs of a pixel, pixels side by side */
  int chunks;
  int64_t chunk; /* pixels */
  int lanes;     /* that put a group's parts together; a power of two */
};

struct part {
  float mean, squares;
};

/* ---- parts to wholes ---- */

/* Parts of a group: part_at(i, &count) gives part i, of `count` values. `lanes` lanes do it
 * together, and all have the result. total: of all values. Any part will do as what the means
 * are taken about: the whole varies at least as much as it. */
template <class PartAt>
__device__ __forceinline__ struct part join_parts(int parts, int lanes, float total,
                                                  PartAt part_at) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  float sum = 0, squares = 0, count;
  const float first = part_at(0, &count).mean;
  for (int i = lane; i < parts; i += lanes) {
    const struct part part = part_at(i, &count);
    sum = fmaf(count, part.mean - first, sum);
  }
  const float mean = first + lanes_sum(sum, lanes) / total;
  for (int i = lane; i < parts; i += lanes) {
    const struct part part = part_at(i, &count);
    const float off = part.mean - mean;
    squares += fmaf(count * off, off, part.squares);
  }
  return {mean, lanes_sum(squares, lanes)};
}

/* Calls join(group) for the group that this thread's lanes serve, one round after another; all
 * threads come along, those without a group with the last one and `own` false. */
template <class Join>
__device__ __forceinline__ void each_group(int groups, int lanes, Join join) {
  const int at_a_time = THREADS / lanes;
  for (int first = 0; first < groups; first += at_a_time) {
    const int group = first + static_cast<int>(threadIdx.x) / lanes;
    const bool own = group < groups;
    join(own ? group : groups - 1, own && static_cast<int>(threadIdx.x) % lanes == 0);
  }
}

/* ---- the first launch ---- */

/* Mean and squares of K more values joins those of a channel's `count` values. share = K /
 * (count + K), weight = count * share. (Chan, Golub and LeVeque 1979) */
template <class T, int N, int K>
__device__ __forceinline__ void join_values(const run<T, N> (&values)[K], float share, float weight,
                                            struct part (&parts)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float first = value_of(values[0], i);
    float sum = 0, squares = 0;
#pragma unroll
    for (int k = 1; k < K; k++) {
      sum += value_of(values[k], i) - first;
    }
    const float mean = fmaf(sum, 1.0f / K, first);
#pragma unroll
    for (int k = 0; k < K; k++) {
      const float off = value_of(values[k], i) - mean;
      squares = fmaf(off, off, squares);
    }
    const float apart = mean - parts[i].mean;
    parts[i].mean = fmaf(apart, share, parts[i].mean);
    parts[i].squares += fmaf(apart * weight, apart, squares);
  }
}

template <class T, int N, int K>
__device__ __forceinline__ void join_pixels(const T *x, int64_t step, float *count,
                                            struct part (&parts)[N]) {
  run<T, N> values[K];
#pragma unroll
  for (int k = 0; k < K; k++) {
    values[k] = load_run<T, N>(x + k * step);
  }
  const float share = static_cast<float>(K) / (*count + K);
  join_values<T, N, K>(values, share, *count * share, parts);
  *count += K;
}

/* Pixels of a chunk of `pixels` that belong to a line of threads. */
__device__ __forceinline__ int64_t pixels_of_line(int64_t pixels, int line, int lines) {
  return pixels > line ? (pixels - line + lines - 1) / lines : 0;
}

/* The thread's channels in its pixels of the chunk that begins at x. */
template <class T, int N>
__device__ __forceinline__ void measure_chunk(const T *x, int64_t pixels, int64_t step,
                                              struct part (&parts)[N]) {
  constexpr int K = DEPTH<T>;
  float count = 0;
  for (; pixels >= K; pixels -= K, x += K * step) {
    join_pixels<T, N, K>(x, step, &count, parts);
  }
  for (; pixels > 0; pixels--, x += step) {
    join_pixels<T, N, 1>(x, step, &count, parts);
  }
}

__device__ __forceinline__ int64_t chunk_pixels(const struct launch_norm &norm,
                                                const struct cut &cut, int chunk) {
  const int64_t left = norm.pixels - chunk * cut.chunk;
  return left < cut.chunk ? left : cut.chunk;
}

/* Where the parts of a group lie in the scratch memory, chunk beside chunk. */
__device__ __forceinline__ struct part *parts_of_group(const struct launch_norm &norm,
                                                       const struct cut &cut, int group) {
  const int64_t index = static_cast<int64_t>(blockIdx.y) * norm.groups + group;
  return reinterpret_cast<struct part *>(norm.scratch) + index * cut.chunks;
}

/* Block x, y: chunk x of image y. */
template <class T, int N>
__global__ void __launch_bounds__(THREADS, 2)
    norm_measure(const struct launch_norm norm, const struct cut cut) {
  struct part *columns = dynamic_shared<struct part>(); /* [lines][channels] */
  const int thread = static_cast<int>(threadIdx.x), chunk = static_cast<int>(blockIdx.x);
  const int line = thread / cut.runs, channel = thread % cut.runs * N;
  const int64_t pixels = chunk_pixels(norm, cut, chunk), channels = norm.channels;
  if (line < cut.lines) {
    const int64_t pixel = blockIdx.y * norm.pixels + chunk * cut.chunk + line;
    const T *x = static_cast<const T *>(norm.x) + pixel * channels + channel;
    struct part parts[N] = {};
    measure_chunk<T, N>(x, pixels_of_line(pixels, line, cut.lines), cut.lines * channels, parts);
#pragma unroll
    for (int i = 0; i < N; i++) {
      columns[line * norm.channels + channel + i] = parts[i];
    }
  }
  __syncthreads();
  const int width = norm.channels / norm.groups;
  const float total = static_cast<float>(pixels * width);
  each_group(norm.groups, cut.lanes, [&](int group, bool own) {
    const struct part whole =
        join_parts(cut.lines * width, cut.lanes, total, [&](int i, float *count) {
          const int of = i / width;
          *count = static_cast<float>(pixels_of_line(pixels, of, cut.lines));
          return columns[of * norm.channels + group * width + i % width];
        });
    if (own) {
      parts_of_group(norm, cut, group)[chunk] = whole;
    }
  });
}

/* ---- the second launch ---- */

/* Each group's mean and scale into shared memory. */
__device__ __forceinline__ void join_chunks(const struct launch_norm &norm, const struct cut &cut,
                                            float2 *moments) {
  const int width = norm.channels / norm.groups;
  const float total = static_cast<float>(norm.pixels * width);
  each_group(norm.groups, cut.lanes, [&](int group, bool own) {
    const struct part *parts = parts_of_group(norm, cut, group);
    const struct part whole = join_parts(cut.chunks, cut.lanes, total, [&](int i, float *count) {
      *count = static_cast<float>(chunk_pixels(norm, cut, i) * width);
      return parts[i];
    });
    if (own) {
      moments[group] = make_float2(whole.mean, norm_scale(whole.squares, total, norm.epsilon));
    }
  });
  __syncthreads();
}

template <class T, int N, int K>
__device__ __forceinline__ void normalise_pixels(const T *x, T *y, int64_t step, int64_t pixels,
                                                 const struct channel_norm (&to)[N], bool silu) {
  run<T, N> values[K];
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (k < pixels) {
      values[k] = load_run<T, N>(x + k * step);
    }
  }
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (k < pixels) {
      float normal[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        normal[i] = normalised<T>(value_of(values[k], i), to[i], silu);
      }
      store_values<T, N>(normal, y + k * step);
    }
  }
}

/* Block x, y: a range of pixels of image y, the last range first. Ranges are not chunks. */
template <class T, int N>
__global__ void __launch_bounds__(THREADS, 2)
    norm_apply(const struct launch_norm norm, const struct cut cut, int64_t range) {
  float2 *moments = dynamic_shared<float2>(); /* [groups] */
  join_chunks(norm, cut, moments);
  const int thread = static_cast<int>(threadIdx.x), width = norm.channels / norm.groups;
  const int line = thread / cut.runs, channel = thread % cut.runs * N;
  if (line >= cut.lines) {
    return;
  }
  struct channel_norm to[N];
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float2 moment = moments[(channel + i) / width];
    to[i] = channel_norm_of(norm, channel + i, moment.x, moment.y);
  }
  const int64_t first = (gridDim.x - 1 - blockIdx.x) * range,
                step = cut.lines * int64_t{1} * norm.channels;
  const int64_t left = norm.pixels - first;
  int64_t pixels = pixels_of_line(left < range ? left : range, line, cut.lines);
  const int64_t at = (blockIdx.y * norm.pixels + first + line) * norm.channels + channel;
  const T *x = static_cast<const T *>(norm.x) + at;
  T *y = static_cast<T *>(norm.y) + at;
  for (; pixels > 0; pixels -= APPLY_DEPTH<T>) {
    normalise_pixels<T, N, APPLY_DEPTH<T>>(x, y, step, pixels, to, norm.silu);
    x += APPLY_DEPTH<T> * step;
    y += APPLY_DEPTH<T> * step;
  }
}

/* ---- on the host ---- */

int power_of(const struct launch_norm &norm) { return norm_run_power(&norm, norm.channels); }

struct cut cut_of(const struct launch_norm &norm) {
  const int depth = norm.element == LAUNCH_F32 ? DEPTH<float> : DEPTH<__half>;
  struct cut cut = {norm.channels >> power_of(norm), 1, 1, norm.pixels, WARP_LANES};
  cut.lines = THREADS / cut.runs;
  int64_t chunks = parts_of(norm.pixels, static_cast<int64_t>(cut.lines) * depth);
  chunks = chunks < CHUNKS_MAX ? chunks : CHUNKS_MAX;
  cut.chunk = parts_of(norm.pixels, chunks);
  cut.chunks = static_cast<int>(parts_of(norm.pixels, cut.chunk));
  while (cut.lanes > 1 && cut.lanes * norm.groups > THREADS) {
    cut.lanes /= 2;
  }
  return cut;
}

/* Pixels of a block of the second launch: enough blocks, but none that reads more parts than
 * pixels. */
int64_t range_of(const struct launch_norm &norm, const struct cut &cut) {
  const int64_t blocks = parts_of(BLOCKS_WANTED, norm.images),
                least = static_cast<int64_t>(cut.lines) * 4;
  const int64_t range = parts_of(norm.pixels, blocks);
  return range < least ? least : range;
}

template <class T, int N>
cudaError_t start_both(const struct launch_norm &norm, cudaStream_t stream) {
  const struct cut cut = cut_of(norm);
  const unsigned images = extent_of(norm.images);
  const struct blocks measures = {
      dim3(static_cast<unsigned>(cut.chunks), images), THREADS,
      static_cast<size_t>(cut.lines) * static_cast<size_t>(norm.channels) * sizeof(struct part)};
  const cudaError_t error = start_if_any(norm_measure<T, N>, measures, stream, norm, cut);
  if (error != cudaSuccess) {
    return error;
  }
  const int64_t range = range_of(norm, cut);
  const struct blocks applies = {dim3(extent_of(parts_of(norm.pixels, range)), images), THREADS,
                                 static_cast<size_t>(norm.groups) * sizeof(float2)};
  return start_if_any(norm_apply<T, N>, applies, stream, norm, cut, range);
}

/* By the power of two of a run's values. */
template <class T>
constexpr cudaError_t (*starts[])(const struct launch_norm &, cudaStream_t) = {
    start_both<T, 1>, start_both<T, 2>, start_both<T, 4>, start_both<T, 8>};

template <class T>
cudaError_t start(const struct launch_norm &norm, cudaStream_t stream) {
  return starts<T>[power_of(norm)](norm, stream);
}

}  // namespace

bool norm_has_parts(const struct launch_norm *norm) {
  return norm->channels >> power_of(*norm) <= THREADS;
}

size_t norm_parts_scratch(const struct launch_norm *norm) {
  const int64_t chunks = norm->pixels < CHUNKS_MAX ? norm->pixels : CHUNKS_MAX;
  return static_cast<size_t>(norm->images * norm->groups * chunks) * sizeof(struct part);
}

cudaError_t start_norm_parts(const struct launch_norm *norm, cudaStream_t stream) {
  return BY_ELEMENT(norm->element, start, *norm, stream);
}
