/* attention.cuh - what the attention kernels share: where keys and values lie, their copies to
 * shared memory, the running softmax of a row (Milakov & Gimelshein 2018, Dao 2023).
 *
 * A block computes some queries of one head of one image, over all their keys in one order.
 */
#ifndef DARKROOM_KERNELS_CUDA_ATTENTION_CUH
#define DARKROOM_KERNELS_CUDA_ATTENTION_CUH

#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/launch_products.h"
#include "kernels/cuda/values.cuh"

#define ATTENTION_DEPTH_MAX 512

struct attention_plan {
  struct launch_attention attention;
  float scale; /* log2(e) / sqrt(depth): weights are powers of two */
  int queries; /* of a block */
};

/* 16-bit values, depth above 160 (attention_wide.cu); f32, any depth (attention_plain.cu). */
cudaError_t attention_wide(struct attention_plan *plan, cudaStream_t stream);
cudaError_t attention_plain(struct attention_plan *plan, cudaStream_t stream);

/* A block for every `plan->queries` queries, head and image. */
static inline dim3 attention_grid(const struct attention_plan *plan) {
  const struct launch_attention *a = &plan->attention;
  return dim3(static_cast<unsigned>((a->tokens + plan->queries - 1) / plan->queries),
              static_cast<unsigned>(a->heads), static_cast<unsigned>(a->images));
}

/* ---- operands ---- */

/* Rows of one head: row i at from + i * step; those from `rows` on are not there. */
template <class T>
struct head_rows {
  const T *from;
  int step, rows;
  bool eights; /* eight values can be copied at once */

  __device__ __forceinline__ head_rows(const void *values, int64_t offset, int64_t step, int rows,
                                       int depth)
      : from(static_cast<const T *>(values) + offset), step(static_cast<int>(step)), rows(rows) {
    eights = depth % 8 == 0 && step % 8 == 0 && reinterpret_cast<uintptr_t>(from) % 16 == 0;
  }
  /* From row `first` on. */
  __device__ __forceinline__ head_rows behind(int first) const {
    head_rows rest = *this;
    rest.from += first < rows ? static_cast<int64_t>(first) * step : 0;
    rest.rows = rows - first;
    return rest;
  }
};

/* The block's place and operands. */
template <class T>
struct attention_operands {
  int first; /* query */
  int keys;  /* that any of the block's queries sees */
  head_rows<T> q, k, v;

  static __device__ __forceinline__ attention_operands find(const attention_plan &plan) {
    const struct launch_attention &a = plan.attention;
    const int64_t image = blockIdx.z, column = static_cast<int64_t>(blockIdx.y) * a.depth;
    const int first = static_cast<int>(blockIdx.x) * plan.queries;
    head_rows<T> q(a.q, image * a.q_image + column, a.q_token, static_cast<int>(a.tokens), a.depth);
    if (a.rows == nullptr) {
      const int keys = static_cast<int>(a.keys);
      const int end = first + plan.queries;
      head_rows<T> k(a.k, image * a.k_image + column, a.k_token, keys, a.depth);
      head_rows<T> v(a.v, image * a.v_image + column, a.v_token, keys, a.depth);
      return attention_operands{first, a.causal && end < keys ? end : keys, q, k, v};
    }
    const struct batch_row row = a.rows[image];
    const void *context = row.tokens > 0 ? row.context : a.q; /* of none nothing is read */
    const int64_t width = static_cast<int64_t>(a.heads) * a.depth;
    const int64_t layer = a.column * row.tokens + column;
    head_rows<T> k(context, layer, 2 * width, row.tokens, a.depth);
    head_rows<T> v(context, layer + width, 2 * width, row.tokens, a.depth);
    return attention_operands{first, row.tokens, q, k, v};
  }
};

/* Starts the copies of ROWS rows to shared memory, zeros for what is not there: a weight of zero
 * must not meet a NaN. What cannot be copied in eights is copied at once. Layout says how wide rows
 * are, where their eights lie, and how many copies' addresses are kept at once. A thread copies one
 * column of every DOWN-th row, so that its addresses are steps from one another and take few
 * registers. */
template <class Layout, int ROWS, int THREADS, class T>
__device__ __forceinline__ void copy_rows(T *to, const head_rows<T> &rows, int depth) {
  constexpr int PIECES = Layout::DEPTH / 8, DOWN = THREADS / PIECES;
  static_assert(DOWN > 0, "a thread for each of a row's eights");
  const int first = static_cast<int>(threadIdx.x) / PIECES;
  const int column = static_cast<int>(threadIdx.x) % PIECES * 8;
  if (THREADS % PIECES != 0 && first >= DOWN) {
    return;
  }
  const T *from = rows.from + static_cast<int64_t>(first) * rows.step + column;
#pragma unroll Layout::AT_ONCE
  for (int row = first; row < first + ROWS;
       row += DOWN, from += static_cast<int64_t>(DOWN) * rows.step) {
    if (ROWS % DOWN != 0 && row >= ROWS) {
      break;
    }
    T *place = to + Layout::place(row, column);
    const bool there = row < rows.rows;
    if (rows.eights) {
      const bool wanted = there && column < depth;
      copy_start<16>(place, wanted ? from : rows.from, wanted);
    } else {
#pragma unroll 1
      for (int j = 0; j < 8; j++) {
        place[j] = there && column + j < depth ? from[j] : narrow<T>(0);
      }
    }
  }
}

/* Rows one behind another with eight values of nothing between them, or (a power of two wide) with
 * their eights traded: either way eight rows' eights of one column lie in different banks. */
template <int DEPTH_>
struct padded_rows {
  static constexpr int DEPTH = DEPTH_, ROW = DEPTH + 8, AT_ONCE = 4;
  static_assert(DEPTH % 16 == 0, "an odd number of eights in a row");
  static __device__ __forceinline__ int place(int row, int column) { return row * ROW + column; }
};
template <int DEPTH_>
struct traded_rows {
  static constexpr int DEPTH = DEPTH_, ROW = DEPTH, AT_ONCE = 2;
  static_assert(DEPTH % 64 == 0, "trades are within eight eights");
  static __device__ __forceinline__ int place(int row, int column) {
    return row * ROW + ((column / 8) ^ (row % 8)) * 8 + column % 8;
  }
};

/* ---- softmax ---- */

#define NO_SCORE (-INFINITY)

/* How many keys a query sees. */
static __device__ __forceinline__ int keys_seen(const attention_plan &plan, int query, int keys) {
  return plan.attention.causal && query + 1 < keys ? query + 1 : keys;
}

/* Over the four lanes that hold a row of mma's sums. */
static __device__ __forceinline__ float row_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffff, value, 2));
}
static __device__ __forceinline__ float row_sum(float value) {
  value += __shfl_xor_sync(0xffffffff, value, 1);
  return value + __shfl_xor_sync(0xffffffff, value, 2);
}

/* What the sums of a row are divided by; a row without keys is 0, one with a NaN stays NaN. */
static __device__ __forceinline__ float row_share(float sum) { return sum == 0 ? 0 : 1 / sum; }

/* ---- results ---- */

/* COLUMNS columns of 16 rows of one head, from `row` and `column` of a tile in shared memory that
 * the warp alone writes and reads; in y the tile begins at query `first`. */
template <class Layout, int COLUMNS, class T>
__device__ __forceinline__ void store_rows(const attention_plan &plan, const T *tile, int row,
                                           int column, int first) {
  const struct launch_attention &a = plan.attention;
  const int64_t width = static_cast<int64_t>(a.heads) * a.depth;
  const int64_t head = static_cast<int64_t>(blockIdx.y) * a.depth;
  T *y = static_cast<T *>(a.y) + static_cast<int64_t>(blockIdx.z) * a.tokens * width + head;
  const bool eights = a.depth % 8 == 0 && reinterpret_cast<uintptr_t>(a.y) % 16 == 0;
  for (int i = static_cast<int>(threadIdx.x) % 32; i < 16 * COLUMNS / 8; i += 32) {
    const int down = row + i / (COLUMNS / 8), across = column + i % (COLUMNS / 8) * 8;
    if (first + down >= a.tokens || across >= a.depth) {
      continue;
    }
    const T *from = tile + Layout::place(down, across);
    T *to = y + (first + down) * width + across;
    if (eights) {
      *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(from);
    } else {
      for (int j = 0; j < 8 && across + j < a.depth; j++) {
        to[j] = from[j];
      }
    }
  }
}

#endif
