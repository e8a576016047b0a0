/* embed.cu - words and timesteps as vectors.
 *
 * Must be moved, and is moved: a row of the table and one of the positions in, a row out.
 */
#include "kernels/cuda/runs.cuh"
#include "kernels/cuda/sheet.cuh"

namespace {

/* ---- words ---- */

template <class T, int N>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    embed_kernel(const struct launch_embed embed, const struct sheet sheet) {
  constexpr int DEPTH = LOADS_UNDER_WAY / 2; /* two loads each */
  const struct sheet_place place = place_in(sheet);
  const T *table = static_cast<const T *>(embed.table) + place.column * N;
  const T *extra = static_cast<const T *>(embed.extra) + place.column * N;
  const T *positions = static_cast<const T *>(embed.positions) + place.column * N;
  T *y = static_cast<T *>(embed.y) + place.column * N;
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
    if (has_row(sheet, place, d)) {
      const int64_t row = row_of(place, d);
      float word[N], position[N];
      const int64_t id = embed.ids[row];
      load_values<T, N>(
          id < embed.words ? table + id * embed.width : extra + (id - embed.words) * embed.width,
          word);
      load_values<T, N>(positions + row % embed.tokens * embed.width, position);
#pragma unroll
      for (int i = 0; i < N; i++) {
        word[i] += position[i];
      }
      store_values<T, N>(word, y + row * embed.width);
    }
  }
}

template <class T, int N>
cudaError_t start_embed_runs(const struct launch_embed &embed, cudaStream_t stream) {
  const struct sheet sheet =
      sheet_of(embed.rows * embed.tokens, static_cast<int>(embed.width / N), LOADS_UNDER_WAY / 2);
  return start_if_any(embed_kernel<T, N>, sheet_blocks(sheet, 1), stream, embed, sheet);
}

template <class T>
cudaError_t start_embed(const struct launch_embed &embed, cudaStream_t stream) {
  const bool aligned = is_aligned(embed.table) && is_aligned(embed.extra) &&
                       is_aligned(embed.positions) && is_aligned(embed.y);
  return in_eights(embed.width, aligned) ? start_embed_runs<T, RUN_VALUES_MAX>(embed, stream)
                                         : start_embed_runs<T, 1>(embed, stream);
}

/* ---- timesteps ---- */

/* Sine or cosine of x with the error of a double: from x less the nearest quarter turn, by
 * Taylor's series. cosf has a way for huge arguments that wants local memory; timesteps are
 * below 1000. */
__device__ __forceinline__ double sine(double x, int quarters) {
  const double turns = rint(x * 0.63661977236758134308); /* 2 / pi */
  double rest = fma(-turns, 1.57079632679489655800, x);  /* pi / 2 in two parts */
  rest = fma(-turns, 6.12323399573676603587e-17, rest);
  const double square = rest * rest;
  const double quarter = turns + quarters - 4 * floor((turns + quarters) / 4);
  const bool cosine = quarter == 1 || quarter == 3;
  double term = cosine ? 1 : rest, sum = term;
#pragma unroll
  for (int i = 1; i <= 8; i++) {
    const double first = cosine ? 2 * i - 1 : 2 * i;
    term *= -square / (first * (first + 1));
    sum += term;
  }
  return quarter >= 2 ? -sum : sum;
}

/* Frequencies are f32 of an exact exponential, as expf has them nearly always, and so is
 * their product with the timestep. */
template <class T>
__global__ void timesteps_kernel(const struct launch_timesteps timesteps) {
  const int half = timesteps.width / 2;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= half) {
    return;
  }
  const float power = -9.21034037f * static_cast<float>(i) / static_cast<float>(half); /* ln 10^4 */
  const float frequency = static_cast<float>(exp(static_cast<double>(power)));
  const double angle = timesteps.rows[blockIdx.y].timestep * frequency;
  T *y = static_cast<T *>(timesteps.y) + static_cast<int64_t>(blockIdx.y) * timesteps.width;
  y[i] = narrow<T>(static_cast<float>(sine(angle, 1)));
  y[half + i] = narrow<T>(static_cast<float>(sine(angle, 0)));
}

template <class T>
cudaError_t start_timesteps(const struct launch_timesteps &timesteps, cudaStream_t stream) {
  constexpr int THREADS = 64;
  const struct blocks blocks = {
      dim3(extent_of(parts_of(timesteps.width / 2, THREADS)), extent_of(timesteps.count)), THREADS,
      0};
  return start_if_any(timesteps_kernel<T>, blocks, stream, timesteps);
}

}  // namespace

cudaError_t launch_embed(const struct launch_embed *embed, cudaStream_t stream) {
  return BY_ELEMENT(embed->element, start_embed, *embed, stream);
}

cudaError_t launch_timesteps(const struct launch_timesteps *timesteps, cudaStream_t stream) {
  return BY_ELEMENT(timesteps->element, start_timesteps, *timesteps, stream);
}
