/* product.cuh - what the product kernels share: a convolution seen as a matrix product, the copies
 * of its tiles to shared memory, and what follows the sums.
 *
 * The matrix product has a row per output pixel of all images, a column per output channel, and in
 * between ("depth") kernel_height * kernel_width * inputs products: tap after tap of the kernel,
 * channel after channel. A tile of rows may hold pixels of several images. That cannot be seen in
 * their bits: each sum is taken over the depth in one order, the same in every tile of every shape,
 * by instructions that keep rows apart; zeros fill what lies outside. Nothing splits the depth.
 */
#ifndef DARKROOM_KERNELS_CUDA_PRODUCT_CUH
#define DARKROOM_KERNELS_CUDA_PRODUCT_CUH

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/instructions.cuh"
#include "kernels/cuda/launch_products.h"
#include "kernels/cuda/values.cuh"

#define PRODUCT_TAPS_MAX 32 /* bits of row_source.taps */

struct product_plan {
  struct launch_product product;
  int rows, columns, depth;
  int tiles_across; /* blocks go across first: neighbours share their rows of x in the cache */
  int even;         /* y's pixels follow one another evenly, over the images too */
  int eights;       /* y, bias and whatever is added may be read and written eight at a time */
};

/* f32 throughout, any shape (product_plain.cu). */
cudaError_t product_plain(struct product_plan *plan, cudaStream_t stream);

/* ---- copies ---- */

/* What a block computes and copies. A step copies DEPTH columns of ROWS rows of x and of COLUMNS
 * rows of w, VALUES at a time; STAGES of them lie in shared memory, all but one on their way. A row
 * is 64 bytes in four pieces of 16, and trades places with its neighbours' so that eight rows'
 * pieces of one column, which load_matrices reads at once, lie in different banks. */
template <class T_, int ROWS_, int COLUMNS_, int WARPS_, int STAGES_, int VALUES_>
struct product_copies {
  using T = T_;
  static constexpr int ROWS = ROWS_, COLUMNS = COLUMNS_, STAGES = STAGES_, VALUES = VALUES_;
  static constexpr int THREADS = 32 * WARPS_;
  static constexpr int DEPTH = 64 / sizeof(T), PIECE = 16 / sizeof(T);
  static constexpr int STAGE = (ROWS + COLUMNS) * DEPTH; /* values */
  static constexpr int SHARED_BYTES = STAGES * STAGE * sizeof(T);
  static constexpr int ACROSS = DEPTH / VALUES; /* threads that copy one row */
  static constexpr int DOWN = THREADS / ACROSS; /* rows copied at once */
  static_assert(ROWS % DOWN == 0 && COLUMNS % DOWN == 0, "no rows are left over");

  static __device__ __forceinline__ int place(int row, int column) {
    return row * DEPTH + ((column / PIECE) ^ (row / 2 % 4)) * PIECE + column % PIECE;
  }
  /* The place `rows` further down: eight rows on, the trades are the same, and one address serves.
   */
  static __device__ __forceinline__ int place_below(int row, int column, int rows) {
    return rows % 8 == 0 ? place(row, column) + rows * DEPTH : place(row + rows, column);
  }
};

/* Where a row of the matrix product finds its values: those of the kernel's first tap begin `first`
 * values behind x (before it, where that tap is in the padding); bit i of taps: tap i is inside. */
struct row_source {
  int64_t first;
  uint32_t taps;
};

/* Bits first..last - 1 of a mask: which of `count` places from `at` on lie within `size`. */
static __device__ __forceinline__ uint32_t inside_bits(int at, int count, int size) {
  const int first = at < 0 ? -at : 0, last = at + count > size ? size - at : count;
  return first < last ? (uint32_t{2} << (last - 1)) - (uint32_t{1} << first) : 0;
}

static __device__ __forceinline__ row_source find_row(const product_plan &plan, int row) {
  const struct launch_product &p = plan.product;
  if (row >= plan.rows) {
    return row_source{0, 0};
  }
  const unsigned width = static_cast<unsigned>(p.out_width);
  const unsigned pixels = static_cast<unsigned>(p.out_height) * width;
  const unsigned image = static_cast<unsigned>(row) / pixels;
  const unsigned pixel = static_cast<unsigned>(row) % pixels;
  const int top = static_cast<int>(pixel / width) * p.stride - p.pad_top;
  const int left = static_cast<int>(pixel % width) * p.stride - p.pad_left;
  const uint32_t rows = inside_bits(top, p.kernel_height, static_cast<int>(p.height));
  const uint32_t columns = inside_bits(left, p.kernel_width, static_cast<int>(p.width));
  row_source source = {((image * p.height + top) * p.width + left) * p.inputs, 0};
#pragma unroll 1
  for (int y = 0; y < p.kernel_height; y++) {
    source.taps |= (rows >> y & 1) != 0 ? columns << (y * p.kernel_width) : 0;
  }
  return source;
}

/* A column of the matrix product, walked in steps. */
struct walk {
  int column, channel, tap, tap_x;
  int offset; /* values behind row_source.first */
};

/* Behind a pixel's last channel lies the next pixel's first, and behind the kernel's last column
 * the rest of the picture's row. */
static __device__ __forceinline__ void walk_on(walk &walk, const product_plan &plan, int columns) {
  const struct launch_product &p = plan.product;
  const int inputs = static_cast<int>(p.inputs);
  walk.column += columns;
  walk.channel += columns;
  walk.offset += columns;
  while (walk.channel >= inputs) {
    walk.channel -= inputs;
    walk.tap++;
    if (++walk.tap_x == p.kernel_width) {
      walk.tap_x = 0;
      walk.offset += (static_cast<int>(p.width) - p.kernel_width) * inputs;
    }
  }
}

template <class T, int VALUES>
__device__ __forceinline__ void copy_values(T *to, const T *from, bool wanted) {
  if constexpr (VALUES * sizeof(T) >= 4) {
    copy_start<VALUES *static_cast<int>(sizeof(T))>(to, from, wanted);
  } else { /* 16 bits alone are no asynchronous copy's */
    *to = wanted ? *from : narrow<T>(0);
  }
}

/* A thread's share of a block's copies: the same column of every DOWN-th row. */
template <class Copies>
struct product_loader {
  using T = typename Copies::T;
  static constexpr int X_PASSES = Copies::ROWS / Copies::DOWN;
  static constexpr int W_PASSES = Copies::COLUMNS / Copies::DOWN;

  const product_plan &plan;
  walk at = {};
  row_source sources[X_PASSES];
  int row, column, w_row;

  __device__ __forceinline__ product_loader(const product_plan &plan, int first_row,
                                            int first_column)
      : plan(plan) {
    row = static_cast<int>(threadIdx.x) / Copies::ACROSS;
    column = static_cast<int>(threadIdx.x) % Copies::ACROSS * Copies::VALUES;
    w_row = first_column + row;
#pragma unroll
    for (int i = 0; i < X_PASSES; i++) {
      sources[i] = find_row(plan, first_row + row + i * Copies::DOWN);
    }
    walk_on(at, plan, column);
  }

  /* Starts the copies of the next step. */
  __device__ __forceinline__ void start(T *stage) {
    const bool inside = at.column < plan.depth;
    const T *x = static_cast<const T *>(plan.product.x);
#pragma unroll
    for (int i = 0; i < X_PASSES; i++) {
      const bool wanted = inside && (sources[i].taps >> at.tap & 1) != 0;
      copy_values<T, Copies::VALUES>(stage + Copies::place_below(row, column, i * Copies::DOWN),
                                     x + (wanted ? sources[i].first + at.offset : 0), wanted);
    }
    const T *w = static_cast<const T *>(plan.product.w);
#pragma unroll
    for (int i = 0; i < W_PASSES; i++) {
      const int output = w_row + i * Copies::DOWN;
      const bool wanted = inside && output < plan.columns;
      const int64_t from = static_cast<int64_t>(output) * plan.depth + at.column;
      copy_values<T, Copies::VALUES>(
          stage + Copies::place_below(Copies::ROWS + row, column, i * Copies::DOWN),
          w + (wanted ? from : 0), wanted);
    }
    walk_on(at, plan, Copies::DEPTH);
  }
};

/* Calls multiply(stage) for every step of the depth in order, while the copies of those behind are
 * under way; the block's threads may write to shared memory when it returns. */
template <class Copies, class Multiply>
__device__ __forceinline__ void product_steps(product_loader<Copies> &loader,
                                              typename Copies::T *shared, Multiply multiply) {
  constexpr int AHEAD = Copies::STAGES - 1;
  const int steps = (loader.plan.depth + Copies::DEPTH - 1) / Copies::DEPTH;
#pragma unroll
  for (int step = 0; step < AHEAD; step++) {
    if (step < steps) {
      loader.start(shared + step * Copies::STAGE);
    }
    copy_commit();
  }
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    copy_wait<AHEAD - 1>();
    __syncthreads(); /* all see this step's copies; none still reads what the next ones replace */
    if (step + AHEAD < steps) {
      loader.start(shared + (step + AHEAD) % Copies::STAGES * Copies::STAGE);
    }
    copy_commit();
    multiply(shared + step % Copies::STAGES * Copies::STAGE);
  }
  copy_wait<0>();
  __syncthreads();
}

/* ---- what follows the sums ---- */

#define PRODUCT_ALL 0 /* as count: eight, and the address is a multiple of 16 */

/* `count` values at values + offset. */
template <class T>
__device__ __forceinline__ void read_run(const void *values, int64_t offset, int count,
                                         float (&to)[8]) {
  const T *from = static_cast<const T *>(values) + offset;
  count == PRODUCT_ALL ? read_eight(from, to) : read_some(from, count, to);
}

static __device__ __forceinline__ void add_run(const void *values, enum launch_element element,
                                               int64_t offset, int count, float (&to)[8]) {
  float added[8];
  if (element == LAUNCH_F32) {
    read_run<float>(values, offset, count, added);
  } else if (element == LAUNCH_BF16) {
    read_run<__nv_bfloat16>(values, offset, count, added);
  } else {
    read_run<__half>(values, offset, count, added);
  }
#pragma unroll
  for (int i = 0; i < 8; i++) {
    to[i] += added[i];
  }
}

template <class T>
__device__ __forceinline__ void write_run(void *values, int64_t offset, int count,
                                          const float (&from)[8]) {
  T *to = static_cast<T *>(values) + offset;
  count == PRODUCT_ALL ? write_eight(from, to) : write_some(from, count, to);
}

/* y's values of up to eight columns of a row, from their sums. */
static __device__ __forceinline__ void finish_run(const product_plan &plan, int row, int column,
                                                  float (&values)[8]) {
  const struct launch_product &p = plan.product;
  if (row >= plan.rows || column >= plan.columns) {
    return;
  }
  const int left = plan.columns - column;
  const int count = plan.eights ? PRODUCT_ALL : left < 8 ? left : 8;
  int64_t to = row * p.y_pixel, image = 0;
  if (!plan.even || p.channel_add != nullptr) {
    const unsigned width = static_cast<unsigned>(p.out_width);
    const unsigned pixels = static_cast<unsigned>(p.out_height) * width;
    const unsigned pixel = static_cast<unsigned>(row) % pixels;
    image = static_cast<unsigned>(row) / pixels;
    to = image * p.y_image + pixel / width * p.y_row + pixel % width * p.y_pixel;
  }
  to += column;
  if (p.bias != nullptr) {
    add_run(p.bias, LAUNCH_F32, column, count, values);
  }
  if (p.activation != LAUNCH_NONE) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      values[i] = activated<float>(values[i], p.activation);
    }
  }
  if (p.channel_add != nullptr) {
    add_run(p.channel_add, p.add_element, image * p.outputs + column, count, values);
  }
  if (p.residual != nullptr) {
    add_run(p.residual, p.y_element, to, count, values);
  }
  if (p.y_element == LAUNCH_F32) {
    write_run<float>(p.y, to, count, values);
  } else if (p.y_element == LAUNCH_BF16) {
    write_run<__nv_bfloat16>(p.y, to, count, values);
  } else {
    write_run<__half>(p.y, to, count, values);
  }
}

#endif
