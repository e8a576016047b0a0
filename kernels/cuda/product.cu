/* product.cu - convolutions and matrix products of 16-bit values on the tensor cores, by mma.sync.
 *
 * A block computes a tile of the matrix product (product.cuh), its four warps a quarter each:
 * 64x64, 64x32 or 32x32 values, all in registers. The larger the quarter, the less is read from
 * shared memory for each product: 64x64 reads a byte for 8 products, which is what the tensor cores
 * can be fed with.
 */
#include <limits.h>

#include "kernels/cuda/product.cuh"
#include "kernels/cuda/start.cuh"

namespace {

/* Two warps down and two across, or four down. */
template <class Copies_, int WARPS_DOWN_, int BLOCKS_>
struct product_tile {
  using Copies = Copies_;
  using T = typename Copies::T;
  static constexpr int BLOCKS = BLOCKS_; /* that should fit on a multiprocessor */
  static constexpr int DOWN = WARPS_DOWN_, ACROSS = Copies::THREADS / 32 / DOWN;
  static constexpr int WARP_ROWS = Copies::ROWS / DOWN, WARP_COLUMNS = Copies::COLUMNS / ACROSS;
  static constexpr int HIGH = WARP_ROWS / 16, WIDE = WARP_COLUMNS / 8; /* of mma's 16x8 */
  static_assert(Copies::ROWS * Copies::COLUMNS * 4 <= Copies::SHARED_BYTES,
                "in the end the sums lie where the copies lay");
  static_assert(WIDE % 2 == 0, "load_matrices brings columns in sixteens");
};

struct warp_place {
  int lane, row, column; /* the first of the warp's, within the block's */
};

template <class Tile>
__device__ __forceinline__ warp_place find_warp() {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  return warp_place{static_cast<int>(threadIdx.x) % 32, warp / Tile::ACROSS * Tile::WARP_ROWS,
                    warp % Tile::ACROSS * Tile::WARP_COLUMNS};
}

/* Adds the products of one step, in the order of its columns. */
template <class Tile>
__device__ __forceinline__ void multiply_step(const typename Tile::T *stage, const warp_place &warp,
                                              float (&sums)[Tile::HIGH][Tile::WIDE][4]) {
  using Copies = typename Tile::Copies;
  const int lane = warp.lane;
  const int x_row = warp.row + lane % 16;
  const int w_row = Copies::ROWS + warp.column + lane / 16 * 8 + lane % 8;
#pragma unroll
  for (int column = 0; column < Copies::DEPTH; column += 16) {
    uint32_t x[Tile::HIGH][4], w[Tile::WIDE / 2][4];
#pragma unroll
    for (int i = 0; i < Tile::HIGH; i++) {
      load_matrices(x[i], stage + Copies::place_below(x_row, column + lane / 16 * 8, 16 * i));
    }
#pragma unroll
    for (int j = 0; j < Tile::WIDE / 2; j++) {
      load_matrices(w[j], stage + Copies::place_below(w_row, column + lane / 8 % 2 * 8, 16 * j));
    }
#pragma unroll
    for (int i = 0; i < Tile::HIGH; i++) {
#pragma unroll
      for (int j = 0; j < Tile::WIDE; j++) {
        multiply_add<typename Tile::T>(sums[i][j], x[i], w[j / 2][j % 2 * 2],
                                       w[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
}

/* Where a warp's sums lie on their way out: eights trade places with other rows' so that what the
 * lanes write at once lies in different banks. */
template <class Tile>
__device__ __forceinline__ int out_place(int row, int column) {
  constexpr int EIGHTS = Tile::WARP_COLUMNS / 8;
  return row * Tile::WARP_COLUMNS + ((column / 8) ^ (row % EIGHTS)) * 8 + column % 8;
}

/* The sums pass through shared memory, each warp's alone, so that a thread has eight columns side
 * by side and whole pieces of 16 bytes are read and written. */
template <class Tile>
__device__ __forceinline__ void finish_tile(const product_plan &plan, int row, int column,
                                            const float (&sums)[Tile::HIGH][Tile::WIDE][4]) {
  constexpr int EIGHTS = Tile::WARP_COLUMNS / 8;
  const warp_place warp = find_warp<Tile>();
  float *out = dynamic_shared<float>() +
               static_cast<int>(threadIdx.x) / 32 * Tile::WARP_ROWS * Tile::WARP_COLUMNS;
#pragma unroll
  for (int i = 0; i < Tile::HIGH; i++) {
#pragma unroll
    for (int j = 0; j < Tile::WIDE; j++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int to =
            out_place<Tile>(16 * i + 8 * half + warp.lane / 4, 8 * j + warp.lane % 4 * 2);
        *reinterpret_cast<float2 *>(out + to) =
            make_float2(sums[i][j][2 * half], sums[i][j][2 * half + 1]);
      }
    }
  }
  __syncwarp();
#pragma unroll 1
  for (int run = warp.lane; run < Tile::WARP_ROWS * EIGHTS; run += 32) {
    const int down = run / EIGHTS, across = run % EIGHTS * 8;
    float values[8];
    read_eight(out + out_place<Tile>(down, across), values);
    finish_run(plan, row + warp.row + down, column + warp.column + across, values);
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::Copies::THREADS, Tile::BLOCKS)
    product_kernel(const struct product_plan plan) {
  using Copies = typename Tile::Copies;
  const int row = static_cast<int>(blockIdx.x) / plan.tiles_across * Copies::ROWS;
  const int column = static_cast<int>(blockIdx.x) % plan.tiles_across * Copies::COLUMNS;
  const warp_place warp = find_warp<Tile>();
  float sums[Tile::HIGH][Tile::WIDE][4] = {};
  product_loader<Copies> loader(plan, row, column);
  product_steps(loader, dynamic_shared<typename Tile::T>(),
                [&](const typename Tile::T *stage) { multiply_step<Tile>(stage, warp, sums); });
  finish_tile<Tile>(plan, row, column, sums);
}

template <class Tile>
cudaError_t start_tile(struct product_plan *plan, cudaStream_t stream) {
  using Copies = typename Tile::Copies;
  const int down = (plan->rows + Copies::ROWS - 1) / Copies::ROWS;
  plan->tiles_across = (plan->columns + Copies::COLUMNS - 1) / Copies::COLUMNS;
  const struct blocks blocks = {dim3(static_cast<unsigned>(down) * plan->tiles_across),
                                Copies::THREADS, Copies::SHARED_BYTES};
  return start_blocks(product_kernel<Tile>, blocks, stream, *plan);
}

/* How many tiles one image makes: of the tiles that fill most of a device already with an image and
 * its unguided twin the largest is taken. It follows from one image alone. */
constexpr int64_t TILES_WANTED = 60;

int64_t tiles_of_image(const struct product_plan *plan, int rows, int columns) {
  const int64_t pixels = plan->product.out_height * plan->product.out_width;
  return (pixels + rows - 1) / rows * ((plan->columns + columns - 1) / columns);
}

template <class T>
cudaError_t start_eights(struct product_plan *plan, cudaStream_t stream) {
  /* Not if more than half of the last 128 columns would be empty. */
  const bool wide = (plan->columns - 1) % 128 >= 64;
  if (wide && tiles_of_image(plan, 128, 128) >= TILES_WANTED) {
    return start_tile<product_tile<product_copies<T, 128, 128, 4, 4, 8>, 2, 2>>(plan, stream);
  }
  if (tiles_of_image(plan, 128, 64) >= TILES_WANTED) {
    return start_tile<product_tile<product_copies<T, 128, 64, 4, 4, 8>, 2, 3>>(plan, stream);
  }
  return start_tile<product_tile<product_copies<T, 64, 64, 4, 4, 8>, 2, 4>>(plan, stream);
}

template <class T, int VALUES>
cudaError_t start_narrow(struct product_plan *plan, cudaStream_t stream) {
  return start_tile<product_tile<product_copies<T, 64, 64, 4, 4, VALUES>, 2, 3>>(plan, stream);
}

bool aligned(const void *address, size_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

/* By the widest copies that never cross from one tap to the next, nor miss their alignment. How
 * wide they are is not seen in the sums. */
template <class T>
cudaError_t start_product(struct product_plan *plan, cudaStream_t stream) {
  const struct launch_product *p = &plan->product;
  const auto wide = [p](int values) {
    return p->inputs % values == 0 && aligned(p->x, values * sizeof(T)) &&
           aligned(p->w, values * sizeof(T));
  };
  if (wide(8)) {
    return start_eights<T>(plan, stream);
  }
  return wide(4)   ? start_narrow<T, 4>(plan, stream)
         : wide(2) ? start_narrow<T, 2>(plan, stream)
                   : start_narrow<T, 1>(plan, stream);
}

/* Whether eight columns lie side by side at a multiple of 16 bytes in all that follows the sums. */
bool in_eights(const struct launch_product *p) {
  return p->outputs % 8 == 0 && p->y_image % 8 == 0 && p->y_row % 8 == 0 && p->y_pixel % 8 == 0 &&
         aligned(p->y, 16) && aligned(p->bias, 16) && aligned(p->channel_add, 16) &&
         aligned(p->residual, 16);
}

/* The kernels count rows, columns, depth and one image's values in 32 bits. */
bool countable(const struct launch_product *p) {
  const int64_t most = INT_MAX - 1024; /* a tile's or a step's more */
  return p->images * p->out_height * p->out_width <= most && p->outputs <= most &&
         p->kernel_height * p->kernel_width <= PRODUCT_TAPS_MAX &&
         p->kernel_height * p->kernel_width * p->inputs <= most &&
         (p->height + p->kernel_height) * p->width * p->inputs <= most;
}

}  // namespace

cudaError_t launch_product(const struct launch_product *product, cudaStream_t stream) {
  if (!countable(product) || product->activation >= LAUNCH_SOFT_CLAMP) {
    return cudaErrorInvalidValue;
  }
  struct product_plan plan = {};
  plan.product = *product;
  plan.rows = static_cast<int>(product->images * product->out_height * product->out_width);
  if (plan.rows == 0) {
    return cudaSuccess;
  }
  plan.columns = static_cast<int>(product->outputs);
  plan.depth = static_cast<int>(product->kernel_height * product->kernel_width * product->inputs);
  plan.even = product->y_row == product->out_width * product->y_pixel &&
              product->y_image == product->out_height * product->y_row;
  plan.eights = in_eights(product);
  if (product->element == LAUNCH_F32) {
    return product_plain(&plan, stream);
  }
  return product->element == LAUNCH_F16 ? start_product<__half>(&plan, stream)
                                        : start_product<__nv_bfloat16>(&plan, stream);
}
