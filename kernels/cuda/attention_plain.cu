/* attention_plain.cu - attention of f32 values by plain multiply-adds: exact products and f32 sums,
 * any head up to 512 values.
 *
 * A block is 16 queries, 16 lanes each; keys and values pass through shared memory 32 rows and 64
 * columns at a time.
 */
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/start.cuh"

namespace {

constexpr int LANES = 16, QUERIES = 16, THREADS = LANES * QUERIES;
constexpr int KEYS = 32, PIECE = 64; /* columns at a time */
constexpr int PIECES = ATTENTION_DEPTH_MAX / PIECE, EACH = PIECE / LANES;
static_assert(KEYS == 2 * LANES, "a lane scores two keys");

/* Rows are four floats longer than they must, against bank conflicts. */
struct plain_shared {
  float q[QUERIES][ATTENTION_DEPTH_MAX + 4];
  float piece[KEYS][PIECE + 4];
  float weights[QUERIES][KEYS + 4];
};
static_assert(sizeof(plain_shared) <= SHARED_BYTES_WITHOUT_ASKING, "every device gives it");

struct plain_query {
  int lane, query; /* in the block */
  int seen;        /* keys */
  float largest, weight;
  float sums[PIECES][EACH]; /* columns lane + 16 j of each piece */
};

__device__ __forceinline__ float lanes_max(float value) {
  for (int by = LANES / 2; by > 0; by /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, by));
  }
  return value;
}

/* Between two barriers: what was there is not read any more, what came is there for all. */
__device__ __forceinline__ void bring_piece(plain_shared &shared, const head_rows<float> &rows,
                                            int first_column, int depth) {
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < KEYS * PIECE; i += THREADS) {
    const int row = i / PIECE, column = first_column + i % PIECE;
    const bool there = row < rows.rows && column < depth;
    shared.piece[row][i % PIECE] =
        there ? rows.from[static_cast<int64_t>(row) * rows.step + column] : 0;
  }
  __syncthreads();
}

__device__ __forceinline__ void score(const plain_query &of, plain_shared &shared,
                                      const head_rows<float> &keys, int depth, float (&scores)[2]) {
  scores[0] = scores[1] = 0;
  for (int first = 0; first < depth; first += PIECE) {
    bring_piece(shared, keys, first, depth);
    for (int d = 0; d < PIECE; d++) {
      const float q = shared.q[of.query][first + d];
      scores[0] = fmaf(q, shared.piece[of.lane][d], scores[0]);
      scores[1] = fmaf(q, shared.piece[of.lane + LANES][d], scores[1]);
    }
  }
}

/* As attention.cu's, of one query. */
__device__ __forceinline__ void weigh(plain_query &of, plain_shared &shared, float scale,
                                      int first_key, float (&scores)[2]) {
  float largest = of.largest;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    scores[i] = first_key + of.lane + i * LANES < of.seen ? scores[i] : NO_SCORE;
    largest = fmaxf(largest, scores[i]);
  }
  largest = lanes_max(largest);
  const float rescale = exp2f((of.largest - largest) * scale);
  of.weight *= rescale;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const float weight = exp2f((scores[i] - largest) * scale);
    shared.weights[of.query][of.lane + i * LANES] = weight;
    of.weight += weight;
  }
#pragma unroll
  for (int i = 0; i < PIECES * EACH; i++) {
    of.sums[i / EACH][i % EACH] *= rescale;
  }
  of.largest = largest;
}

__device__ __forceinline__ void gather(plain_query &of, plain_shared &shared,
                                       const head_rows<float> &values, int depth) {
#pragma unroll
  for (int i = 0; i < PIECES; i++) {
    if (i * PIECE >= depth) {
      break;
    }
    bring_piece(shared, values, i * PIECE, depth);
    for (int key = 0; key < KEYS; key++) {
      const float weight = shared.weights[of.query][key];
#pragma unroll
      for (int j = 0; j < EACH; j++) {
        of.sums[i][j] = fmaf(weight, shared.piece[key][of.lane + j * LANES], of.sums[i][j]);
      }
    }
  }
}

__device__ __forceinline__ void finish_query(const attention_plan &plan, int first,
                                             const plain_query &of) {
  const struct launch_attention &a = plan.attention;
  float weight = of.weight;
  for (int by = LANES / 2; by > 0; by /= 2) {
    weight += __shfl_xor_sync(0xffffffff, weight, by);
  }
  const float share = row_share(weight);
  if (first + of.query >= a.tokens) {
    return;
  }
  const int64_t row = static_cast<int64_t>(blockIdx.z) * a.tokens + first + of.query;
  float *y = static_cast<float *>(a.y) + (row * a.heads + blockIdx.y) * a.depth;
#pragma unroll
  for (int i = 0; i < PIECES * EACH; i++) {
    const int column = i / EACH * PIECE + i % EACH * LANES + of.lane;
    if (column < a.depth) {
      y[column] = of.sums[i / EACH][i % EACH] * share;
    }
  }
}

__global__ void __launch_bounds__(THREADS)
    attention_plain_kernel(const struct attention_plan plan) {
  const int depth = plan.attention.depth;
  const auto operands = attention_operands<float>::find(plan);
  auto &shared = *dynamic_shared<plain_shared>();
  plain_query of = {};
  of.lane = static_cast<int>(threadIdx.x) % LANES;
  of.query = static_cast<int>(threadIdx.x) / LANES;
  of.seen = keys_seen(plan, operands.first + of.query, operands.keys);
  of.largest = NO_SCORE;
  const auto queries = operands.q.behind(operands.first);
  for (int d = of.lane; d < ATTENTION_DEPTH_MAX; d += LANES) {
    const bool there = of.query < queries.rows && d < depth;
    shared.q[of.query][d] =
        there ? queries.from[static_cast<int64_t>(of.query) * queries.step + d] : 0;
  }
  for (int key = 0; key < operands.keys; key += KEYS) {
    float scores[2];
    score(of, shared, operands.k.behind(key), depth, scores);
    weigh(of, shared, plan.scale, key, scores);
    gather(of, shared, operands.v.behind(key), depth);
  }
  finish_query(plan, operands.first, of);
}

}  // namespace

cudaError_t attention_plain(struct attention_plan *plan, cudaStream_t stream) {
  plan->queries = QUERIES;
  const struct blocks blocks = {attention_grid(plan), THREADS, sizeof(plain_shared)};
  return start_blocks(attention_plain_kernel, blocks, stream, *plan);
}
