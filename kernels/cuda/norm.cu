/* norm.cu - which way a norm goes, and layer norm by warps.
 *
 * Layer norm: 8, 16 or 32 lanes share a row and keep it in registers: it is read once and
 * written once, the least there is. Rows that do not fit go to norm_whole.cu.
 */
#include "kernels/cuda/norm.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

constexpr int LANES_LEAST = 8; /* of a row: 8 times 16 bytes are a line of the cache */
constexpr int FEW = 5;         /* runs of a lane: 320, 640 and 1280 values by 8, 16 and 32 lanes */
constexpr int MANY = 10;
constexpr int WARPS = 4; /* of a block */

template <class T, int N, int K>
__device__ __forceinline__ float sum_about(const run<T, N> (&runs)[K], int own, float about) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < K; k++) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      sum += k < own ? value_of(runs[k], i) - about : 0;
    }
  }
  return sum;
}

template <class T, int N, int K>
__device__ __forceinline__ float squares_about(const run<T, N> (&runs)[K], int own, float about) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < K; k++) {
#pragma unroll
    for (int i = 0; i < N; i++) {
      const float off = k < own ? value_of(runs[k], i) - about : 0;
      sum = fmaf(off, off, sum);
    }
  }
  return sum;
}

/* A lane's part of a row: `own` runs, the first at `channel`, `step` values apart. */
struct lane_part {
  int own, channel, step;
};

template <class T, int N, int K>
__device__ __forceinline__ void normalise_runs(const struct launch_norm &norm,
                                               const run<T, N> (&runs)[K],
                                               const struct lane_part &part, float2 moments, T *y) {
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (k < part.own) {
      const int channel = part.channel + k * part.step;
      float values[N];
#pragma unroll
      for (int i = 0; i < N; i++) {
        const struct channel_norm to = channel_norm_of(norm, channel + i, moments.x, moments.y);
        values[i] = normalised<T>(value_of(runs[k], i), to, false);
      }
      store_values<T, N>(values, y + channel);
    }
  }
}

/* The first value of a row is what sums are taken about. Lanes beyond the last row come along
 * with nothing: all lanes of a warp pass their sums. */
template <class T, int N, int K>
__global__ void __launch_bounds__(WARPS *WARP_LANES)
    norm_rows(const struct launch_norm norm, int64_t rows, int lanes) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const bool is_row = thread / lanes < rows;
  const int64_t start = thread / lanes * norm.channels;
  const int lane = static_cast<int>(threadIdx.x) % lanes, all = norm.channels / N;
  const struct lane_part part = {is_row && lane < all ? (all - lane + lanes - 1) / lanes : 0,
                                 lane * N, lanes * N};
  const T *x = static_cast<const T *>(norm.x) + start;
  run<T, N> runs[K] = {};
#pragma unroll
  for (int k = 0; k < K; k++) {
    if (k < part.own) {
      runs[k] = load_run<T, N>(x + part.channel + k * part.step);
    }
  }
  const float first = __shfl_sync(ALL_LANES, value_of(runs[0], 0), 0, lanes);
  const float count = static_cast<float>(norm.channels);
  const float mean = first + lanes_sum(sum_about<T, N, K>(runs, part.own, first), lanes) / count;
  const float squares = lanes_sum(squares_about<T, N, K>(runs, part.own, mean), lanes);
  normalise_runs<T, N, K>(norm, runs, part,
                          make_float2(mean, norm_scale(squares, count, norm.epsilon)),
                          static_cast<T *>(norm.y) + start);
}

template <class T, int N>
cudaError_t start_runs(const struct launch_norm &norm, int lanes, cudaStream_t stream) {
  const int64_t rows = norm.images * norm.pixels, warps = parts_of(rows, WARP_LANES / lanes);
  const int64_t warps_block = warps < BLOCKS_WANTED ? 1 : WARPS; /* a few on every multiprocessor */
  const struct blocks blocks = {dim3(extent_of(parts_of(warps, warps_block))),
                                static_cast<int>(warps_block) * WARP_LANES, 0};
  return start_if_any(
      norm.channels / N <= FEW * lanes ? norm_rows<T, N, FEW> : norm_rows<T, N, MANY>, blocks,
      stream, norm, rows, lanes);
}

template <class T>
cudaError_t start_rows(const struct launch_norm &norm, cudaStream_t stream) {
  const bool eights = norm_run_power(&norm, norm.channels) == 3;
  const int runs = eights ? norm.channels / RUN_VALUES_MAX : norm.channels;
  int lanes = LANES_LEAST;
  while (lanes < WARP_LANES && runs > FEW * lanes) {
    lanes *= 2;
  }
  if (runs > MANY * lanes) {
    struct launch_norm wide = norm;
    wide.images = norm.images * norm.pixels;
    wide.pixels = wide.groups = 1;
    wide.silu = 0;
    return start_norm_whole(&wide, stream);
  }
  return eights ? start_runs<T, RUN_VALUES_MAX>(norm, lanes, stream)
                : start_runs<T, 1>(norm, lanes, stream);
}

bool in_parts(const struct launch_norm *norm) {
  return !norm_fits_block(norm) && norm_has_parts(norm);
}

}  // namespace

size_t launch_norm_scratch(const struct launch_norm *norm) {
  return norm_fits_block(norm) ? 0 : norm_parts_scratch(norm);
}

cudaError_t launch_group_norm(const struct launch_norm *norm, cudaStream_t stream) {
  if (norm->images == 0 || norm->pixels == 0) {
    return cudaSuccess;
  }
  return in_parts(norm) ? start_norm_parts(norm, stream) : start_norm_whole(norm, stream);
}

cudaError_t launch_layer_norm(const struct launch_norm *norm, cudaStream_t stream) {
  return BY_ELEMENT(norm->element, start_rows, *norm, stream);
}
