/* attention.cu - attention of 16-bit values on the tensor cores: softmax(q k' / sqrt(d)) v without
 * writing the scores (Dao et al. 2022, Dao 2023), for heads of up to 160 values.
 *
 * A block is four warps; a warp keeps its queries, 16 or 32, their sums and a tile of scores in
 * registers. Keys and values come in tiles, the next one on its way while one is worked on. With 32
 * queries a warp reads half as much of shared memory for each product, which then keeps up with the
 * tensor cores; with 16 there are twice as many blocks, which short images need.
 */
#include <limits.h>
#include <math.h>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/start.cuh"

namespace {

template <class T_, int DEPTH_, int HIGH_, int KEYS_, int BLOCKS_>
struct attention_tile {
  using T = T_;
  using Layout = padded_rows<DEPTH_>;
  static constexpr int DEPTH = DEPTH_; /* of a head, padded */
  static constexpr int HIGH = HIGH_;   /* of mma's 16 rows in a warp */
  static constexpr int KEYS = KEYS_, BLOCKS = BLOCKS_, WARPS = 4, THREADS = 32 * WARPS;
  static constexpr int QUERIES = 16 * HIGH * WARPS;
  static constexpr int MEMORY = KEYS * Layout::ROW; /* values of a tile of keys, or of values */
  static constexpr int SHARED_BYTES =
      (QUERIES * Layout::ROW + 4 * MEMORY) * static_cast<int>(sizeof(T));
};

/* What a warp knows of 16 queries: their operands, what they summed up so far. Of rows g and g + 8
 * (g = lane / 4) a lane holds two columns of every eight. */
template <class Tile>
struct queries_of {
  uint32_t q[Tile::DEPTH / 16][4];
  float sums[Tile::DEPTH / 8][4];
  float largest[2]; /* score so far of the two rows, before scaling */
  float weight[2];  /* summed up so far, of this lane's columns */
  int seen[2];      /* keys that the row sees */
};

template <class Tile>
__device__ __forceinline__ void begin_queries(const attention_plan &plan,
                                              const typename Tile::T *shared_q, int first, int keys,
                                              queries_of<Tile> (&of)[Tile::HIGH]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(threadIdx.x) / 32 * 16 * Tile::HIGH;
#pragma unroll
  for (int i = 0; i < Tile::HIGH; i++) {
#pragma unroll
    for (int d = 0; d < Tile::DEPTH / 16; d++) {
      load_matrices(of[i].q[d], shared_q + Tile::Layout::place(row + 16 * i + lane % 16,
                                                               16 * d + lane / 16 * 8));
    }
#pragma unroll
    for (int d = 0; d < Tile::DEPTH / 8; d++) {
      of[i].sums[d][0] = of[i].sums[d][1] = of[i].sums[d][2] = of[i].sums[d][3] = 0;
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      of[i].largest[half] = NO_SCORE;
      of[i].weight[half] = 0;
      of[i].seen[half] = keys_seen(plan, first + row + 16 * i + lane / 4 + 8 * half, keys);
    }
  }
}

/* scores = q k'. `left`: keys that are there; with RAGGED they may be fewer than the tile's. */
template <class Tile, bool RAGGED>
__device__ __forceinline__ void score(const queries_of<Tile> (&of)[Tile::HIGH],
                                      const typename Tile::T *keys, int left,
                                      float (&scores)[Tile::HIGH][Tile::KEYS / 8][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = lane / 16 * 8 + lane % 8, column = lane / 8 % 2 * 8;
#pragma unroll
  for (int j = 0; j < Tile::KEYS / 16; j++) {
    if (RAGGED && 16 * j >= left) {
      break;
    }
#pragma unroll
    for (int d = 0; d < Tile::DEPTH / 16; d++) {
      uint32_t k[4];
      load_matrices(k, keys + Tile::Layout::place(16 * j + row, 16 * d + column));
#pragma unroll
      for (int i = 0; i < Tile::HIGH; i++) {
        multiply_add<typename Tile::T>(scores[i][2 * j], of[i].q[d], k[0], k[1]);
        multiply_add<typename Tile::T>(scores[i][2 * j + 1], of[i].q[d], k[2], k[3]);
      }
    }
  }
}

/* Scores of keys that a row does not see are no scores. */
template <class Tile>
__device__ __forceinline__ void hide(const queries_of<Tile> &of, int first_key,
                                     float (&scores)[Tile::KEYS / 8][4]) {
  const int key = first_key + static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int j = 0; j < Tile::KEYS / 8; j++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (key + 8 * j + i % 2 >= of.seen[i / 2]) {
        scores[j][i] = NO_SCORE;
      }
    }
  }
}

/* Scores become weights 2^(scale (score - largest)); what was summed up under a smaller largest
 * score is scaled to the new one. */
template <class Tile>
__device__ __forceinline__ void weigh(queries_of<Tile> &of, float scale,
                                      float (&scores)[Tile::KEYS / 8][4]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float largest = of.largest[half];
#pragma unroll
    for (int j = 0; j < Tile::KEYS / 8; j++) {
      largest = fmaxf(largest, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
    }
    largest = row_max(largest);
    const float rescale = exp2_fast((of.largest[half] - largest) * scale);
    const float level = largest * scale;
    float weight = of.weight[half] * rescale;
#pragma unroll
    for (int j = 0; j < Tile::KEYS / 8; j++) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; i++) {
        scores[j][i] = exp2_fast(fmaf(scores[j][i], scale, -level));
        weight += scores[j][i];
      }
    }
#pragma unroll
    for (int d = 0; d < Tile::DEPTH / 8; d++) {
      of.sums[d][2 * half] *= rescale;
      of.sums[d][2 * half + 1] *= rescale;
    }
    of.largest[half] = largest;
    of.weight[half] = weight;
  }
}

/* sums += weights v. Sums of mma lie as its left operand wants them. */
template <class Tile, bool RAGGED>
__device__ __forceinline__ void gather(queries_of<Tile> (&of)[Tile::HIGH],
                                       const typename Tile::T *values, int left,
                                       const float (&weights)[Tile::HIGH][Tile::KEYS / 8][4]) {
  using T = typename Tile::T;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = lane / 8 % 2 * 8 + lane % 8, column = lane / 16 * 8;
#pragma unroll
  for (int j = 0; j < Tile::KEYS / 16; j++) {
    if (RAGGED && 16 * j >= left) {
      break;
    }
    uint32_t w[Tile::HIGH][4];
#pragma unroll
    for (int i = 0; i < Tile::HIGH; i++) {
#pragma unroll
      for (int r = 0; r < 4; r++) {
        const float *pair = &weights[i][2 * j + r / 2][r % 2 * 2];
        w[i][r] = pack_pair<T>(pair[0], pair[1]);
      }
    }
#pragma unroll
    for (int d = 0; d < Tile::DEPTH / 16; d++) {
      uint32_t v[4];
      load_matrices_transposed(v, values + Tile::Layout::place(16 * j + row, 16 * d + column));
#pragma unroll
      for (int i = 0; i < Tile::HIGH; i++) {
        multiply_add<T>(of[i].sums[2 * d], w[i], v[0], v[1]);
        multiply_add<T>(of[i].sums[2 * d + 1], w[i], v[2], v[3]);
      }
    }
  }
}

/* One tile of keys and values. */
template <class Tile, bool RAGGED>
__device__ __forceinline__ void attend(queries_of<Tile> (&of)[Tile::HIGH], float scale,
                                       const typename Tile::T *memory, int first_key, int keys) {
  float scores[Tile::HIGH][Tile::KEYS / 8][4] = {};
  score<Tile, RAGGED>(of, memory, keys - first_key, scores);
#pragma unroll
  for (int i = 0; i < Tile::HIGH; i++) {
    if (RAGGED) {
      hide<Tile>(of[i], first_key, scores[i]);
    }
    weigh<Tile>(of[i], scale, scores[i]);
  }
  gather<Tile, RAGGED>(of, memory + Tile::MEMORY, keys - first_key, scores);
}

/* Over the queries' place in shared memory, of which each warp has read its own rows. */
template <class Tile>
__device__ __forceinline__ void finish_queries(const attention_plan &plan, typename Tile::T *tile,
                                               int first,
                                               const queries_of<Tile> (&of)[Tile::HIGH]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16 * Tile::HIGH;
#pragma unroll
  for (int i = 0; i < Tile::HIGH; i++) {
    const int row = warp_row + 16 * i;
    __syncwarp();
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const float share = row_share(row_sum(of[i].weight[half]));
#pragma unroll
      for (int d = 0; d < Tile::DEPTH / 8; d++) {
        const float *pair = &of[i].sums[d][2 * half];
        const uint32_t packed = pack_pair<typename Tile::T>(pair[0] * share, pair[1] * share);
        typename Tile::T *to =
            tile + Tile::Layout::place(row + lane / 4 + 8 * half, 8 * d + lane % 4 * 2);
        *reinterpret_cast<uint32_t *>(to) = packed;
      }
    }
    __syncwarp();
    store_rows<typename Tile::Layout, Tile::DEPTH>(plan, tile, row, 0, first);
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::THREADS, Tile::BLOCKS)
    attention_kernel(const struct attention_plan plan) {
  using T = typename Tile::T;
  const auto operands = attention_operands<T>::find(plan);
  T *shared_q = dynamic_shared<T>(), *memory = shared_q + Tile::QUERIES * Tile::Layout::ROW;
  const auto start = [&](int tile) { /* keys, and values behind them */
                                     T *to = memory + tile % 2 * 2 * Tile::MEMORY;
                                     copy_rows<typename Tile::Layout, Tile::KEYS, Tile::THREADS>(
                                         to, operands.k.behind(tile * Tile::KEYS),
                                         plan.attention.depth);
                                     copy_rows<typename Tile::Layout, Tile::KEYS, Tile::THREADS>(
                                         to + Tile::MEMORY, operands.v.behind(tile * Tile::KEYS),
                                         plan.attention.depth);
  };
  copy_rows<typename Tile::Layout, Tile::QUERIES, Tile::THREADS>(
      shared_q, operands.q.behind(operands.first), plan.attention.depth);
  start(0);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  queries_of<Tile> of[Tile::HIGH];
  begin_queries<Tile>(plan, shared_q, operands.first, operands.keys, of);
  const int tiles = (operands.keys + Tile::KEYS - 1) / Tile::KEYS;
  for (int tile = 0; tile < tiles; tile++) {
    copy_wait<0>();
    __syncthreads(); /* all see this tile; none still reads the one that the next replaces */
    if (tile + 1 < tiles) {
      start(tile + 1);
      copy_commit();
    }
    const int first_key = tile * Tile::KEYS;
    const int all_see = keys_seen(
        plan, operands.first + static_cast<int>(threadIdx.x) / 32 * 16 * Tile::HIGH, operands.keys);
    const T *at = memory + tile % 2 * 2 * Tile::MEMORY;
    if (first_key + Tile::KEYS <= all_see) {
      attend<Tile, false>(of, plan.scale, at, first_key, operands.keys);
    } else {
      attend<Tile, true>(of, plan.scale, at, first_key, operands.keys);
    }
  }
  finish_queries<Tile>(plan, shared_q, operands.first, of);
}

template <class Tile>
cudaError_t start_tile(struct attention_plan *plan, cudaStream_t stream) {
  plan->queries = Tile::QUERIES;
  const struct blocks blocks = {attention_grid(plan), Tile::THREADS, Tile::SHARED_BYTES};
  return start_blocks(attention_kernel<Tile>, blocks, stream, *plan);
}

/* ptxas keeps all in registers but for four words of the tall block at 80 values, which it moves
 * once a tile: with 32 keys instead of 48 it would not, but weigh and wait half as often again.
 *
 * Blocks of 128 queries if one image makes enough of them: with its unguided twin about two to a
 * multiprocessor. It follows from one image alone. */
constexpr int64_t BLOCKS_WANTED = 128;

template <class T, int DEPTH, int TALL_KEYS>
cudaError_t start_either(struct attention_plan *plan, cudaStream_t stream) {
  const int64_t tall = (plan->attention.tokens + 127) / 128 * plan->attention.heads;
  if (tall >= BLOCKS_WANTED) {
    return start_tile<attention_tile<T, DEPTH, 2, TALL_KEYS, 2>>(plan, stream);
  }
  return start_tile<attention_tile<T, DEPTH, 1, 64, 3>>(plan, stream);
}

/* The narrowest tile that holds the head. */
template <class T>
cudaError_t start_attention(struct attention_plan *plan, cudaStream_t stream) {
  const int depth = plan->attention.depth;
  return depth <= 16    ? start_tile<attention_tile<T, 16, 1, 64, 4>>(plan, stream)
         : depth <= 32  ? start_tile<attention_tile<T, 32, 1, 64, 4>>(plan, stream)
         : depth <= 48  ? start_either<T, 48, 64>(plan, stream)
         : depth <= 64  ? start_either<T, 64, 64>(plan, stream)
         : depth <= 80  ? start_either<T, 80, 48>(plan, stream)
         : depth <= 96  ? start_tile<attention_tile<T, 96, 1, 64, 2>>(plan, stream)
         : depth <= 128 ? start_tile<attention_tile<T, 128, 1, 64, 2>>(plan, stream)
         : depth <= 160 ? start_tile<attention_tile<T, 160, 1, 32, 2>>(plan, stream)
                        : attention_wide(plan, stream);
}

/* The kernels count an image's tokens and a token's values in 32 bits, heads and images in a
 * grid's 16. */
bool countable(const struct launch_attention *a) {
  const int64_t most = INT_MAX - 1024; /* a tile's more */
  return a->depth >= 1 && a->depth <= ATTENTION_DEPTH_MAX && a->tokens <= most && a->keys <= most &&
         a->heads <= 65535 && a->images <= 65535;
}

}  // namespace

cudaError_t launch_attention(const struct launch_attention *attention, cudaStream_t stream) {
  if (!countable(attention)) {
    return cudaErrorInvalidValue;
  }
  if (attention->images == 0 || attention->tokens == 0) {
    return cudaSuccess;
  }
  struct attention_plan plan = {};
  plan.attention = *attention;
  plan.scale = static_cast<float>(M_LOG2E / sqrt(static_cast<double>(attention->depth)));
  if (attention->element == LAUNCH_F32) {
    return attention_plain(&plan, stream);
  }
  return attention->element == LAUNCH_F16 ? start_attention<__half>(&plan, stream)
                                          : start_attention<__nv_bfloat16>(&plan, stream);
}
