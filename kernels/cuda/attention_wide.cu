/* attention_wide.cu - attention of 16-bit values on the tensor cores for heads of 161 to 512
 * values, whose sums one warp's registers do not hold: those of the VAE, one head as wide as its
 * channels.
 *
 * A block is 32 queries and eight warps: two halves of 16 queries, four parts each. A part scores a
 * quarter of a tile's 32 keys, the parts exchange their largest scores and their weights through
 * shared memory, and each sums up a quarter of the values' columns. While keys are scored, values
 * come; while values are summed up, the next keys come. It takes 98.5 KiB, of which sm_89 has 99
 * and an sm_90 multiprocessor holds two; of the 128 registers that two blocks leave a thread 64 are
 * sums, and ptxas moves eight words once a tile for it.
 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/start.cuh"

namespace {

constexpr int WARPS = 8, THREADS = 32 * WARPS, PARTS = 4, QUERIES = 32, KEYS = 32;
static_assert(QUERIES / 16 * PARTS == WARPS && KEYS / PARTS == 8, "a warp scores one mma's sums");

template <class T_, int DEPTH_>
struct wide_tile {
  using T = T_;
  static constexpr int DEPTH = DEPTH_; /* of the head, padded */
  using Layout = traded_rows<DEPTH>;
  static constexpr int PART = DEPTH / PARTS; /* columns that a warp sums up */
  static constexpr int ROWS =
      QUERIES * DEPTH; /* values of the queries, of the keys, of the values */
  static_assert(PART % 16 == 0, "columns are loaded in sixteens");
};

/* A row of 32 weights is 64 bytes: like product.cuh's. */
__device__ __forceinline__ int weight_place(int row, int key) {
  return row * KEYS + ((key / 8) ^ (row / 2 % 4)) * 8 + key % 8;
}

/* The block's dynamic shared memory. */
template <class Tile>
struct wide_shared {
  typename Tile::T q[Tile::ROWS], k[Tile::ROWS], v[Tile::ROWS];
  typename Tile::T weights[QUERIES * KEYS];
  float of_part[PARTS][QUERIES]; /* largest scores of a tile, in the end sums of weights */
};

/* What a warp knows of its queries: of rows g and g + 8 (g = lane / 4) a lane holds two columns of
 * every eight of its part. */
template <class Tile>
struct wide_queries {
  int lane, part, row; /* the first of the warp's queries, in the block */
  float sums[Tile::PART / 8][4];
  float largest[2];
  float weight[2]; /* of this part's keys, this lane's columns */
  int seen[2];
};

/* The scores of the part's eight keys. Four sums, or each product would wait for the one before. */
template <class Tile>
__device__ __forceinline__ void score(const wide_queries<Tile> &of, const wide_shared<Tile> &shared,
                                      float (&scores)[4]) {
  using T = typename Tile::T;
  float sums[4][4] = {};
  const int row = of.row + of.lane % 16, key = of.part * 8 + of.lane % 8;
#pragma unroll 1
  for (int d = 0; d < Tile::DEPTH; d += 64) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      uint32_t q[2][4], k[4];
      const int column = d + 32 * i;
      load_matrices(q[0], shared.q + Tile::Layout::place(row, column + of.lane / 16 * 8));
      load_matrices(q[1], shared.q + Tile::Layout::place(row, column + 16 + of.lane / 16 * 8));
      load_matrices(k, shared.k + Tile::Layout::place(key, column + of.lane / 8 * 8));
      multiply_add<T>(sums[2 * i], q[0], k[0], k[1]);
      multiply_add<T>(sums[2 * i + 1], q[1], k[2], k[3]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    scores[i] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
  }
}

/* What a row does not see is no score; the part's largest scores go to the other parts. */
template <class Tile>
__device__ __forceinline__ void show_largest(const wide_queries<Tile> &of, int first_key,
                                             wide_shared<Tile> &shared, float (&scores)[4]) {
  const int key = first_key + of.part * 8 + of.lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    scores[i] = key + i % 2 < of.seen[i / 2] ? scores[i] : NO_SCORE;
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float largest = row_max(fmaxf(scores[2 * half], scores[2 * half + 1]));
    if (of.lane % 4 == 0) {
      shared.of_part[of.part][of.row + of.lane / 4 + 8 * half] = largest;
    }
  }
}

/* The part's weights go to the other parts; what was summed up is scaled to the largest score. */
template <class Tile>
__device__ __forceinline__ void weigh(wide_queries<Tile> &of, float scale,
                                      wide_shared<Tile> &shared, const float (&scores)[4]) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = of.row + of.lane / 4 + 8 * half;
    float largest = of.largest[half];
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      largest = fmaxf(largest, shared.of_part[part][row]);
    }
    const float rescale = exp2_fast((of.largest[half] - largest) * scale);
    const float level = largest * scale;
    const float first = exp2_fast(fmaf(scores[2 * half], scale, -level));
    const float second = exp2_fast(fmaf(scores[2 * half + 1], scale, -level));
    typename Tile::T *to = shared.weights + weight_place(row, of.part * 8 + of.lane % 4 * 2);
    *reinterpret_cast<uint32_t *>(to) = pack_pair<typename Tile::T>(first, second);
    of.weight[half] = of.weight[half] * rescale + (first + second);
    of.largest[half] = largest;
#pragma unroll
    for (int d = 0; d < Tile::PART / 8; d++) {
      of.sums[d][2 * half] *= rescale;
      of.sums[d][2 * half + 1] *= rescale;
    }
  }
}

/* sums += weights v, of the part's columns. */
template <class Tile>
__device__ __forceinline__ void gather(wide_queries<Tile> &of, const wide_shared<Tile> &shared) {
  using T = typename Tile::T;
  const int row = of.lane / 8 % 2 * 8 + of.lane % 8;
  const int column = of.part * Tile::PART + of.lane / 16 * 8;
#pragma unroll
  for (int j = 0; j < KEYS; j += 16) {
    uint32_t w[4];
    load_matrices(w, shared.weights + weight_place(of.row + of.lane % 16, j + of.lane / 16 * 8));
#pragma unroll
    for (int d = 0; d < Tile::PART / 16; d++) {
      uint32_t v[4];
      load_matrices_transposed(v, shared.v + Tile::Layout::place(j + row, column + 16 * d));
      multiply_add<T>(of.sums[2 * d], w, v[0], v[1]);
      multiply_add<T>(of.sums[2 * d + 1], w, v[2], v[3]);
    }
  }
}

/* Over the queries' place in shared memory, each warp its own rows and columns. */
template <class Tile>
__device__ __forceinline__ void finish_queries(const attention_plan &plan, int first,
                                               const wide_queries<Tile> &of,
                                               wide_shared<Tile> &shared) {
  using T = typename Tile::T;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const float weight = row_sum(of.weight[half]);
    if (of.lane % 4 == 0) {
      shared.of_part[of.part][of.row + of.lane / 4 + 8 * half] = weight;
    }
  }
  __syncthreads();
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int row = of.row + of.lane / 4 + 8 * half;
    float weight = 0;
#pragma unroll
    for (int part = 0; part < PARTS; part++) {
      weight += shared.of_part[part][row];
    }
    const float share = row_share(weight);
#pragma unroll
    for (int d = 0; d < Tile::PART / 8; d++) {
      const int column = of.part * Tile::PART + 8 * d + of.lane % 4 * 2;
      T *to = shared.q + Tile::Layout::place(row, column);
      *reinterpret_cast<uint32_t *>(to) =
          pack_pair<T>(of.sums[d][2 * half] * share, of.sums[d][2 * half + 1] * share);
    }
  }
  __syncwarp();
  store_rows<typename Tile::Layout, Tile::PART>(plan, shared.q, of.row, of.part * Tile::PART,
                                                first);
}

template <class Tile>
__device__ __forceinline__ void begin_queries(const attention_plan &plan, int first, int keys,
                                              wide_queries<Tile> &of) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  of.lane = static_cast<int>(threadIdx.x) % 32;
  of.part = warp % PARTS;
  of.row = warp / PARTS * 16;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    of.largest[half] = NO_SCORE;
    of.weight[half] = 0;
    of.seen[half] = keys_seen(plan, first + of.row + of.lane / 4 + 8 * half, keys);
  }
#pragma unroll
  for (int d = 0; d < Tile::PART / 8; d++) {
    of.sums[d][0] = of.sums[d][1] = of.sums[d][2] = of.sums[d][3] = 0;
  }
}

template <class Tile>
__global__ void __launch_bounds__(THREADS, 2)
    attention_wide_kernel(const struct attention_plan plan) {
  using Layout = typename Tile::Layout;
  const int depth = plan.attention.depth;
  const auto operands = attention_operands<typename Tile::T>::find(plan);
  auto &shared = *dynamic_shared<wide_shared<Tile>>();
  wide_queries<Tile> of;
  begin_queries<Tile>(plan, operands.first, operands.keys, of);
  copy_rows<Layout, QUERIES, THREADS>(shared.q, operands.q.behind(operands.first), depth);
  copy_rows<Layout, KEYS, THREADS>(shared.k, operands.k, depth);
  copy_commit();
  for (int key = 0; key < operands.keys; key += KEYS) {
    float scores[4];
    copy_wait<0>();
    __syncthreads(); /* all see these keys; none still reads the last values and weights */
    copy_rows<Layout, KEYS, THREADS>(shared.v, operands.v.behind(key), depth);
    copy_commit();
    score(of, shared, scores);
    show_largest(of, key, shared, scores);
    __syncthreads(); /* all see the largest scores; none still reads the keys */
    if (key + KEYS < operands.keys) {
      copy_rows<Layout, KEYS, THREADS>(shared.k, operands.k.behind(key + KEYS), depth);
    }
    copy_commit();
    weigh(of, plan.scale, shared, scores);
    copy_wait<1>();
    __syncthreads(); /* all see the values and the weights */
    gather(of, shared);
  }
  copy_wait<0>();
  __syncthreads();
  finish_queries(plan, operands.first, of, shared);
}

template <class Tile>
cudaError_t start_tile(struct attention_plan *plan, cudaStream_t stream) {
  plan->queries = QUERIES;
  const struct blocks blocks = {attention_grid(plan), THREADS, sizeof(wide_shared<Tile>)};
  return start_blocks(attention_wide_kernel<Tile>, blocks, stream, *plan);
}

template <class T>
cudaError_t start_wide(struct attention_plan *plan, cudaStream_t stream) {
  return plan->attention.depth <= 256 ? start_tile<wide_tile<T, 256>>(plan, stream)
                                      : start_tile<wide_tile<T, 512>>(plan, stream);
}

}  // namespace

static_assert(sizeof(wide_shared<wide_tile<__half, ATTENTION_DEPTH_MAX>>) <= 99 * 1024,
              "what a block may have on sm_89");

cudaError_t attention_wide(struct attention_plan *plan, cudaStream_t stream) {
  return plan->attention.element == LAUNCH_F16 ? start_wide<__half>(plan, stream)
                                               : start_wide<__nv_bfloat16>(plan, stream);
}
