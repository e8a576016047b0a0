/* norm_whole.cu - group norm by a block for each group of an image. The block keeps the group in
 * shared memory: it is read once and written once, the least there is. A group that is larger
 * than that is read three times, which is left for channel numbers that norm_parts.cu does not
 * serve, and for layer norm's widest rows (a row is an image of one pixel and one group).
 *
 * A group is `width` channels of every pixel: lines of `width` values, `channels` apart. A block
 * walks it in runs as long as divide the width: 4 bytes for the 10 channels of 320 in 16 bits, 8
 * for the 20 of 640. Sectors of memory that two groups share come from the L2 cache the second
 * time.
 */
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

constexpr size_t SUMS_BYTES = BLOCK_WARPS_MAX * sizeof(float);
/* What needs no asking. With more a block would be alone on its multiprocessor, and 64 blocks
 * (two images of 32 groups) leave half of the chip idle: such groups are quicker in parts. */
constexpr size_t KEPT_BYTES_MAX = SHARED_BYTES_WITHOUT_ASKING - SUMS_BYTES;
/* Runs of a thread that are under way: as many as leave the registers for two blocks on a
 * multiprocessor. */
template <class T, int N>
constexpr int DEPTH = N * sizeof(T) < 16    ? 4
                      : N * sizeof(T) == 16 ? 2
                                            : 1;

template <class T, int N>
struct group {
  const T *x;         /* its first value */
  run<T, N> *kept;    /* its runs in shared memory */
  int64_t total;      /* runs */
  int runs, channels; /* runs of a line; values from a line to the next */
};

/* Calls take(index, offset, part, run) for each of the thread's runs: offset counts values
 * from the group's first, part runs within the line. */
template <class T, int N, bool FROM_KEPT, class Take>
__device__ __forceinline__ void each_run(const struct group<T, N> &group, Take take) {
  constexpr int depth = DEPTH<T, N>;
  const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
  const int step_part = threads % group.runs;
  const int64_t line = group.channels, step = threads / group.runs * line + step_part * N;
  int part = thread % group.runs;
  int64_t offset = thread / group.runs * line + part * N;
  for (int64_t index = thread; index < group.total; index += depth * threads) {
    run<T, N> values[depth];
    int64_t offsets[depth];
    int parts[depth];
#pragma unroll
    for (int d = 0; d < depth; d++) {
      offsets[d] = offset;
      parts[d] = part;
      if (index + d * threads < group.total) {
        values[d] = FROM_KEPT ? group.kept[index + d * threads] : load_run<T, N>(group.x + offset);
      }
      const bool wraps = part + step_part >= group.runs;
      part += step_part - (wraps ? group.runs : 0);
      offset += step + (wraps ? line - group.runs * N : 0);
    }
#pragma unroll
    for (int d = 0; d < depth; d++) {
      if (index + d * threads < group.total) {
        take(index + d * threads, offsets[d], parts[d], values[d]);
      }
    }
  }
}

template <class T, int N>
__device__ __forceinline__ float sum_about(const run<T, N> &run, float about) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < N; i++) {
    sum += value_of(run, i) - about;
  }
  return sum;
}

template <class T, int N>
__device__ __forceinline__ float squares_about(const run<T, N> &run, float about) {
  float sum = 0;
#pragma unroll
  for (int i = 0; i < N; i++) {
    const float off = value_of(run, i) - about;
    sum = fmaf(off, off, sum);
  }
  return sum;
}

struct moments {
  float mean, scale;
};

/* The mean is taken twice, the second time about the first: where the group's first value
 * lies far off, the first mean has lost digits. */
template <class T, int N, bool KEPT>
__device__ __forceinline__ struct moments measure(const struct group<T, N> &group, float *sums,
                                                  float epsilon) {
  const float count = static_cast<float>(group.total * N), first = widen(*group.x);
  float sum = 0, rest = 0, squares = 0;
  each_run<T, N, false>(group, [&](int64_t index, int64_t, int, const run<T, N> &run) {
    if (KEPT) {
      group.kept[index] = run;
    }
    sum += sum_about(run, first);
  });
  const float mean = first + block_sum(sum, sums) / count;
  each_run<T, N, KEPT>(group, [&](int64_t, int64_t, int, const run<T, N> &run) {
    rest += sum_about(run, mean);
    squares += squares_about(run, mean);
  });
  rest = block_sum(rest, sums) / count;
  return {mean + rest, norm_scale(block_sum(squares, sums), count, epsilon)};
}

template <class T, int N, bool KEPT>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX, 2) norm_whole(const struct launch_norm norm) {
  unsigned char *shared = dynamic_shared<unsigned char>();
  const int width = norm.channels / norm.groups;
  const int number = static_cast<int>(blockIdx.x % static_cast<unsigned>(norm.groups));
  const int64_t image = blockIdx.x / static_cast<unsigned>(norm.groups);
  const int64_t start = image * norm.pixels * norm.channels + static_cast<int64_t>(number) * width;
  const struct group<T, N> group = {
    static_cast<const T *>(norm.x) + start, reinterpret_cast<run<T, N> *>(shared + SUMS_BYTES),
        norm.pixels *(width / N), width / N, norm.channels
  };
  const struct moments moments =
      measure<T, N, KEPT>(group, reinterpret_cast<float *>(shared), norm.epsilon);
  T *y = static_cast<T *>(norm.y) + start;
  each_run<T, N, KEPT>(group, [&](int64_t, int64_t offset, int part, const run<T, N> &run) {
    float values[N];
#pragma unroll
    for (int i = 0; i < N; i++) {
      const struct channel_norm to =
          channel_norm_of(norm, number * width + part * N + i, moments.mean, moments.scale);
      values[i] = normalised<T>(value_of(run, i), to, norm.silu);
    }
    store_values<T, N>(values, y + offset);
  });
}

size_t group_bytes(const struct launch_norm *norm) {
  return static_cast<size_t>(norm->pixels * (norm->channels / norm->groups)) *
         norm_value_bytes(norm);
}

/* By the power of two of a run's values. */
template <class T, bool KEPT>
constexpr void (*kernels[])(struct launch_norm) = {norm_whole<T, 1, KEPT>, norm_whole<T, 2, KEPT>,
                                                   norm_whole<T, 4, KEPT>, norm_whole<T, 8, KEPT>};

template <class T>
cudaError_t start(const struct launch_norm &norm, cudaStream_t stream) {
  const int width = norm.channels / norm.groups, power = norm_run_power(&norm, width);
  const int64_t runs = norm.pixels * (width >> power);
  const bool kept = norm_fits_block(&norm);
  const int64_t threads =
      runs < BLOCK_THREADS_MAX ? parts_of(runs, WARP_LANES) * WARP_LANES : BLOCK_THREADS_MAX;
  const struct blocks blocks = {dim3(extent_of(norm.images * norm.groups)),
                                static_cast<int>(threads),
                                SUMS_BYTES + (kept ? group_bytes(&norm) : 0)};
  return start_if_any(kept ? kernels<T, true>[power] : kernels<T, false>[power], blocks, stream,
                      norm);
}

}  // namespace

bool norm_fits_block(const struct launch_norm *norm) { return group_bytes(norm) <= KEPT_BYTES_MAX; }

cudaError_t start_norm_whole(const struct launch_norm *norm, cudaStream_t stream) {
  return BY_ELEMENT(norm->element, start, *norm, stream);
}
