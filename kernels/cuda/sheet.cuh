/* sheet.cuh - how rows of runs are divided over blocks where nothing is summed: what a thread
 * does is decided by its column, which it keeps, so that what belongs to the column (biases,
 * sources) is looked up once; a thread has several rows under way at a time.
 *
 * Nothing here changes bits: the division may depend on the number of images.
 */
#ifndef DARKROOM_KERNELS_CUDA_SHEET_CUH
#define DARKROOM_KERNELS_CUDA_SHEET_CUH

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/start.cuh"
#include "kernels/cuda/values.cuh"

/* Loads of 16 bytes that a thread has under way: with three or four blocks on a
 * multiprocessor some 100 KB are asked for at a time, and 40 hide the memory's latency (3.3
 * TB/s times 700 ns, over 132 multiprocessors, are 18). */
#define LOADS_UNDER_WAY 4
/* Blocks that keep the largest chips (132 multiprocessors) busy. */
#define BLOCKS_WANTED 528

struct sheet {
  int64_t rows;
  int columns; /* of the sheet */
  int tile;    /* columns of a block */
  int lines;   /* rows that a block has side by side */
  int depth;   /* and below one another */
};

/* Where a thread works: at `column` of rows first, first + step, ... */
struct sheet_place {
  int64_t first;
  int column, step;
  bool inside; /* whether there is such a column */
};

static __device__ __forceinline__ struct sheet_place place_in(const struct sheet &sheet) {
  const int thread = static_cast<int>(threadIdx.x), line = thread / sheet.tile;
  const int column = static_cast<int>(blockIdx.y) * sheet.tile + thread % sheet.tile;
  return {static_cast<int64_t>(blockIdx.x) * sheet.lines * sheet.depth + line, column, sheet.lines,
          line < sheet.lines && column < sheet.columns};
}

/* Row i of the thread's rows, and whether it exists. */
static __device__ __forceinline__ int64_t row_of(const struct sheet_place &place, int i) {
  return place.first + static_cast<int64_t>(i) * place.step;
}
static __device__ __forceinline__ bool has_row(const struct sheet &sheet,
                                               const struct sheet_place &place, int i) {
  return place.inside && i < sheet.depth && row_of(place, i) < sheet.rows;
}

static inline int64_t parts_of(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

/* depth: the most, a power of two. */
static inline struct sheet sheet_of(int64_t rows, int columns, int depth) {
  const int64_t tiles = parts_of(columns, BLOCK_THREADS_MAX);
  struct sheet sheet = {rows, columns, 1, 1, depth};
  if (rows <= 0 || columns <= 0) {
    return sheet;
  }
  sheet.tile = static_cast<int>(parts_of(columns, tiles));
  sheet.lines = BLOCK_THREADS_MAX / sheet.tile;
  if (sheet.lines > rows) {
    sheet.lines = static_cast<int>(rows);
  }
  while (sheet.depth > 1 && parts_of(rows, sheet.lines * sheet.depth) * tiles < BLOCKS_WANTED) {
    sheet.depth /= 2;
  }
  return sheet;
}

/* What a grid cannot hold becomes what no launch accepts. */
static inline unsigned extent_of(int64_t blocks) {
  return blocks > INT32_MAX ? UINT32_MAX : static_cast<unsigned>(blocks);
}

/* The blocks of a sheet, `layers` times. */
static inline struct blocks sheet_blocks(const struct sheet &sheet, int64_t layers) {
  const int64_t across = parts_of(sheet.columns, sheet.tile),
                down = parts_of(sheet.rows, static_cast<int64_t>(sheet.lines) * sheet.depth);
  return {dim3(extent_of(down), extent_of(across), extent_of(layers)),
          static_cast<int>(parts_of(sheet.tile * sheet.lines, WARP_LANES)) * WARP_LANES, 0};
}

/* function<type of the element>(arguments) */
#define BY_ELEMENT(element, function, ...)                           \
  ((element) == LAUNCH_F32    ? function<float>(__VA_ARGS__)         \
   : (element) == LAUNCH_BF16 ? function<__nv_bfloat16>(__VA_ARGS__) \
                              : function<__half>(__VA_ARGS__))

/* Queues it; nothing to do is done. A grid that is too large is the launch's error. */
template <class... Parameters, class... Arguments>
cudaError_t start_if_any(void (*kernel)(Parameters...), const struct blocks &blocks,
                         cudaStream_t stream, const Arguments &...arguments) {
  if (blocks.count.x == 0 || blocks.count.y == 0 || blocks.count.z == 0) {
    return cudaSuccess;
  }
  return start_blocks(kernel, blocks, stream, arguments...);
}

#endif
