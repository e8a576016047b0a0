/* adapt.cu - tokens through the two narrow products of an adapter, each row through its own.
 *
 * A block has some tokens of one row and one module. First its warps take the ranks: a warp a few
 * tokens and ranks at a time, its lanes side by side along the inputs. What comes of it is rounded
 * and stays in shared memory; then each thread takes outputs, one at a time, for all the tokens.
 * Must be moved, and is moved: x once for every four ranks, y in and out; the adapter comes from
 * the caches. At rank 16 the products are a tenth of the layer's own.
 *
 * Sums: lanes along the inputs in pairs (reduce.cuh), ranks in order: no other row, and no number
 * of rows, has a part in it.
 */
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/runs.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

constexpr int THREADS = 256, WARPS = THREADS / WARP_LANES;
constexpr int TOKENS = 16;                  /* of a block */
constexpr int TOGETHER = 4;                 /* tokens, and ranks, of a warp at a time */
constexpr int RANK_ROOM = ADAPTER_RANK_MAX; /* floats of a token in shared memory */
static_assert(TOKENS * RANK_ROOM * sizeof(float) <= SHARED_BYTES_WITHOUT_ASKING, "they fit");

/* A block's part: tokens [0, count) from x and y on. */
template <class T>
struct part {
  const T *x, *down, *up;
  int64_t inputs;
  int count, rank;
};

/* Rows of a matrix, whose lanes walk along the inputs in runs of N; those beyond the last repeat
 * it. */
template <class T, int N>
__device__ __forceinline__ void load_rows(const T *from, int64_t step, int first, int count,
                                          int64_t at, float (&to)[TOGETHER][N]) {
#pragma unroll
  for (int r = 0; r < TOGETHER; r++) {
    const int row = first + r < count ? first + r : count - 1;
    load_values<T, N>(from + row * step + at, to[r]);
  }
}

/* The warp's sums of TOGETHER tokens and ranks, in every lane. */
template <class T, int N>
__device__ __forceinline__ void sum_inputs(const struct part<T> &part, int token, int rank,
                                           float (&sums)[TOGETHER][TOGETHER]) {
  const int lane = static_cast<int>(threadIdx.x) % WARP_LANES;
  for (int64_t at = lane * N; at < part.inputs; at += WARP_LANES * N) {
    float x[TOGETHER][N], down[TOGETHER][N];
    load_rows<T, N>(part.x, part.inputs, token, part.count, at, x);
    load_rows<T, N>(part.down, part.inputs, rank, part.rank, at, down);
#pragma unroll
    for (int t = 0; t < TOGETHER; t++) {
#pragma unroll
      for (int r = 0; r < TOGETHER; r++) {
#pragma unroll
        for (int i = 0; i < N; i++) {
          sums[t][r] = fmaf(x[t][i], down[r][i], sums[t][r]);
        }
      }
    }
  }
#pragma unroll
  for (int t = 0; t < TOGETHER; t++) {
#pragma unroll
    for (int r = 0; r < TOGETHER; r++) {
      sums[t][r] = lanes_sum(sums[t][r], WARP_LANES);
    }
  }
}

/* All ranks of the block's tokens, rounded, to inner [TOKENS][RANK_ROOM]. */
template <class T, int N>
__device__ __forceinline__ void find_ranks(const struct part<T> &part, float *inner) {
  const int warp = static_cast<int>(threadIdx.x) / WARP_LANES;
  const int lane = static_cast<int>(threadIdx.x) % WARP_LANES;
  const int across = (part.rank + TOGETHER - 1) / TOGETHER;
  const int down = (part.count + TOGETHER - 1) / TOGETHER;
  for (int piece = warp; piece < across * down; piece += WARPS) {
    const int token = piece / across * TOGETHER, rank = piece % across * TOGETHER;
    float sums[TOGETHER][TOGETHER] = {};
    sum_inputs<T, N>(part, token, rank, sums);
#pragma unroll
    for (int i = 0; i < TOGETHER * TOGETHER; i++) {
      const int t = token + i / TOGETHER, r = rank + i % TOGETHER;
      if (lane == i && t < part.count && r < part.rank) {
        inner[t * RANK_ROOM + r] = widen(narrow<T>(sums[i / TOGETHER][i % TOGETHER]));
      }
    }
  }
}

/* y += outputs; each thread has every THREADS-th of them. */
template <class T, class Y>
__device__ __forceinline__ void add_outputs(const struct launch_adapt &adapt,
                                            const struct part<T> &part, const float *inner, Y *y) {
  const int64_t step = adapt.modules * adapt.outputs;
  for (int64_t o = threadIdx.x; o < adapt.outputs; o += THREADS) {
    float sums[TOKENS] = {};
    for (int r = 0; r < part.rank; r++) {
      const float up = widen(part.up[o * part.rank + r]);
#pragma unroll
      for (int t = 0; t < TOKENS; t++) {
        sums[t] = fmaf(up, inner[t * RANK_ROOM + r], sums[t]);
      }
    }
#pragma unroll
    for (int t = 0; t < TOKENS; t++) {
      if (t < part.count) {
        y[t * step + o] = narrow<Y>(widen(y[t * step + o]) + sums[t]);
      }
    }
  }
}

/* Block x, y, z: some tokens, a module, a row. */
template <class T, class Y>
__global__ void __launch_bounds__(THREADS) adapt_kernel(const struct launch_adapt adapt) {
  const struct adapter_module *modules = adapt.rows[blockIdx.z].adapters;
  if (modules == nullptr || modules[adapt.first + blockIdx.y].rank <= 0) {
    return;
  }
  const struct adapter_module module = modules[adapt.first + blockIdx.y];
  const int64_t token = static_cast<int64_t>(blockIdx.x) * TOKENS;
  const int64_t row = blockIdx.z * adapt.tokens + token, left = adapt.tokens - token;
  const struct part<T> part = {
    static_cast<const T *>(adapt.x) + row *adapt.inputs, static_cast<const T *>(module.down),
        static_cast<const T *>(module.up), adapt.inputs,
        static_cast<int>(left < TOKENS ? left : TOKENS),
        module.rank < RANK_ROOM ? module.rank : RANK_ROOM
  };
  float *inner = dynamic_shared<float>();
  for (int i = part.count * RANK_ROOM + static_cast<int>(threadIdx.x); i < TOKENS * RANK_ROOM;
       i += THREADS) {
    inner[i] = 0; /* tokens that are not there */
  }
  const uintptr_t all =
      reinterpret_cast<uintptr_t>(part.x) | reinterpret_cast<uintptr_t>(part.down);
  if (all % RUN_BYTES_MAX == 0 && adapt.inputs % RUN_VALUES_MAX == 0) {
    find_ranks<T, RUN_VALUES_MAX>(part, inner);
  } else {
    find_ranks<T, 1>(part, inner);
  }
  __syncthreads();
  add_outputs(
      adapt, part, inner,
      static_cast<Y *>(adapt.y) + row * adapt.modules * adapt.outputs + blockIdx.y * adapt.outputs);
}

template <class T, class Y>
cudaError_t start_to(const struct launch_adapt &adapt, cudaStream_t stream) {
  const struct blocks blocks = {dim3(extent_of(parts_of(adapt.tokens, TOKENS)),
                                     extent_of(adapt.modules), extent_of(adapt.images)),
                                THREADS, TOKENS * RANK_ROOM * sizeof(float)};
  return start_if_any(adapt_kernel<T, Y>, blocks, stream, adapt);
}

template <class T>
cudaError_t start_adapt(const struct launch_adapt &adapt, cudaStream_t stream) {
  return adapt.y_element == LAUNCH_F32 ? start_to<T, float>(adapt, stream)
                                       : start_to<T, T>(adapt, stream);
}

}  // namespace

cudaError_t launch_adapt(const struct launch_adapt *adapt, cudaStream_t stream) {
  return BY_ELEMENT(adapt->element, start_adapt, *adapt, stream);
}
