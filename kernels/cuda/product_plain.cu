/* product_plain.cu - convolutions and matrix products of f32 values by plain multiply-adds: exact
 * products and f32 sums, which the tensor cores do not have.
 *
 * A block of 16x16 threads computes 64x64 values, a thread every sixteenth row and column of them.
 */
#include "kernels/cuda/product.cuh"
#include "kernels/cuda/start.cuh"

namespace {

constexpr int SIDE = 16, EACH = 4; /* threads of a side; rows and columns of a thread */
static_assert(SIDE * EACH == 64, "the tile");

template <class Copies>
__device__ __forceinline__ void multiply_step(const float *stage, int down, int across,
                                              float (&sums)[EACH][EACH]) {
#pragma unroll
  for (int column = 0; column < Copies::DEPTH; column += 4) {
    float4 x[EACH], w[EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++) {
      const int x_at = Copies::place_below(down, column, SIDE * i);
      const int w_at = Copies::place_below(Copies::ROWS + across, column, SIDE * i);
      x[i] = *reinterpret_cast<const float4 *>(stage + x_at);
      w[i] = *reinterpret_cast<const float4 *>(stage + w_at);
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
#pragma unroll
      for (int j = 0; j < EACH; j++) {
        sums[i][j] = fmaf(x[i].x, w[j].x, sums[i][j]);
        sums[i][j] = fmaf(x[i].y, w[j].y, sums[i][j]);
        sums[i][j] = fmaf(x[i].z, w[j].z, sums[i][j]);
        sums[i][j] = fmaf(x[i].w, w[j].w, sums[i][j]);
      }
    }
  }
}

/* The sums pass through shared memory, as finish_run takes eight columns side by side. */
template <class Copies>
__global__ void __launch_bounds__(Copies::THREADS)
    product_plain_kernel(const struct product_plan plan) {
  constexpr int TILE = SIDE * EACH, RUNS = TILE / 8;
  const int row = static_cast<int>(blockIdx.x) / plan.tiles_across * TILE;
  const int column = static_cast<int>(blockIdx.x) % plan.tiles_across * TILE;
  const int down = static_cast<int>(threadIdx.x) / SIDE;
  const int across = static_cast<int>(threadIdx.x) % SIDE;
  float *shared = dynamic_shared<float>();
  float sums[EACH][EACH] = {};
  product_loader<Copies> loader(plan, row, column);
  product_steps(loader, shared,
                [&](const float *stage) { multiply_step<Copies>(stage, down, across, sums); });
#pragma unroll
  for (int i = 0; i < EACH; i++) {
#pragma unroll
    for (int j = 0; j < EACH; j++) {
      shared[(down + SIDE * i) * TILE + across + SIDE * j] = sums[i][j];
    }
  }
  __syncthreads();
  for (int run = static_cast<int>(threadIdx.x); run < TILE * RUNS; run += Copies::THREADS) {
    float values[8];
    read_eight(shared + run * 8, values);
    finish_run(plan, row + run / RUNS, column + run % RUNS * 8, values);
  }
}

template <int VALUES>
cudaError_t start_plain(struct product_plan *plan, cudaStream_t stream) {
  using Copies = product_copies<float, SIDE * EACH, SIDE * EACH, SIDE * SIDE / 32, 4, VALUES>;
  static_assert(Copies::SHARED_BYTES >= Copies::ROWS * Copies::COLUMNS * 4, "the sums fit");
  const int down = (plan->rows + Copies::ROWS - 1) / Copies::ROWS;
  plan->tiles_across = (plan->columns + Copies::COLUMNS - 1) / Copies::COLUMNS;
  const struct blocks blocks = {dim3(static_cast<unsigned>(down) * plan->tiles_across),
                                Copies::THREADS, Copies::SHARED_BYTES};
  return start_blocks(product_plain_kernel<Copies>, blocks, stream, *plan);
}

}  // namespace

cudaError_t product_plain(struct product_plan *plan, cudaStream_t stream) {
  const struct launch_product *p = &plan->product;
  const bool fours = p->inputs % 4 == 0 && reinterpret_cast<uintptr_t>(p->x) % 16 == 0 &&
                     reinterpret_cast<uintptr_t>(p->w) % 16 == 0;
  return fours ? start_plain<4>(plan, stream) : start_plain<1>(plan, stream);
}
