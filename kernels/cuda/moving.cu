/* moving.cu - what only moves bytes.
 *
 * Must be moved, and is moved: concat everything in and out; upsample every pixel once in (its
 * other readings come from the caches) and all out.
 */
#include "kernels/cuda/sheet.cuh"

namespace {

/* ---- bytes in pieces of 1, 2, 4, 8 or 16: by their power of two ---- */

/* The largest that divides every number and address in `all`, their bitwise or. */
int piece_power(uint64_t all) {
  int power = 0;
  while (power < 4 && all % (uint64_t{2} << power) == 0) {
    power++;
  }
  return power;
}

uint64_t address_of(const void *at) { return reinterpret_cast<uintptr_t>(at); }

/* start<type of a piece>(arguments) */
#define BY_PIECE(power, start, ...)              \
  ((power) == 4   ? start<uint4>(__VA_ARGS__)    \
   : (power) == 3 ? start<uint2>(__VA_ARGS__)    \
   : (power) == 2 ? start<uint32_t>(__VA_ARGS__) \
   : (power) == 1 ? start<uint16_t>(__VA_ARGS__) \
                  : start<uint8_t>(__VA_ARGS__))

/* ---- concat ---- */

/* A row of the sheet is a row of y in pieces. */
template <class P>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    concat_kernel(const struct launch_concat concat, const struct sheet sheet) {
  const struct sheet_place place = place_in(sheet);
  const int left = static_cast<int>(concat.left / static_cast<int64_t>(sizeof(P)));
  const bool is_left = place.column < left;
  const P *from = is_left ? static_cast<const P *>(concat.a) + place.column
                          : static_cast<const P *>(concat.b) + (place.column - left);
  const int64_t step = is_left ? left : sheet.columns - left;
  P pieces[LOADS_UNDER_WAY];
#pragma unroll
  for (int d = 0; d < LOADS_UNDER_WAY; d++) {
    if (has_row(sheet, place, d)) {
      pieces[d] = from[row_of(place, d) * step];
    }
  }
  P *y = static_cast<P *>(concat.y) + place.column;
#pragma unroll
  for (int d = 0; d < LOADS_UNDER_WAY; d++) {
    if (has_row(sheet, place, d)) {
      y[row_of(place, d) * sheet.columns] = pieces[d];
    }
  }
}

template <class P>
cudaError_t start_concat(const struct launch_concat &concat, cudaStream_t stream) {
  const int64_t columns = (concat.left + concat.right) / static_cast<int64_t>(sizeof(P));
  const struct sheet sheet = sheet_of(concat.rows, static_cast<int>(columns), LOADS_UNDER_WAY);
  return start_if_any(concat_kernel<P>, sheet_blocks(sheet, 1), stream, concat, sheet);
}

/* ---- pictures from pictures ---- */

struct picture {
  const void *x;
  void *y;
  int64_t images;
  unsigned height, width, out_height, out_width; /* at most SIDE_MAX: products fit 32 bits */
  int pixel;                                     /* pieces */
};
constexpr int64_t SIDE_MAX = 1 << 15;

/* The pixel of x that comes to row, column of image `image`: the nearest neighbour. */
__device__ __forceinline__ int64_t source_of(const struct picture &picture, int64_t image,
                                             unsigned row, unsigned column) {
  row = row * picture.height / picture.out_height;
  column = column * picture.width / picture.out_width;
  return (image * picture.height + row) * picture.width + column;
}

/* A row of the sheet is a row of pixels of y, in pieces. */
template <class P>
__global__ void __launch_bounds__(BLOCK_THREADS_MAX)
    picture_kernel(const struct picture picture, const struct sheet sheet) {
  const struct sheet_place place = place_in(sheet);
  const unsigned column = static_cast<unsigned>(place.column / picture.pixel);
  const int piece = place.column % picture.pixel;
  const P *x = static_cast<const P *>(picture.x) + piece;
  P pieces[LOADS_UNDER_WAY];
#pragma unroll
  for (int d = 0; d < LOADS_UNDER_WAY; d++) {
    if (has_row(sheet, place, d)) {
      const unsigned row = static_cast<unsigned>(row_of(place, d));
      pieces[d] = x[source_of(picture, row / picture.out_height, row % picture.out_height, column) *
                    picture.pixel];
    }
  }
  P *y = static_cast<P *>(picture.y) + place.column;
#pragma unroll
  for (int d = 0; d < LOADS_UNDER_WAY; d++) {
    if (has_row(sheet, place, d)) {
      y[row_of(place, d) * sheet.columns] = pieces[d];
    }
  }
}

template <class P>
cudaError_t start_upsample(const struct picture &bytes, cudaStream_t stream) {
  struct picture picture = bytes;
  picture.pixel /= static_cast<int>(sizeof(P));
  const int64_t rows = picture.images * picture.out_height,
                columns = int64_t{picture.out_width} * picture.pixel;
  if (rows > INT32_MAX || columns > INT32_MAX) {
    return cudaErrorInvalidValue;
  }
  const struct sheet sheet = sheet_of(rows, static_cast<int>(columns), LOADS_UNDER_WAY);
  return start_if_any(picture_kernel<P>, sheet_blocks(sheet, 1), stream, picture, sheet);
}

bool is_picture(const struct launch_upsample &up) {
  return up.height <= SIDE_MAX && up.width <= SIDE_MAX && up.out_height <= SIDE_MAX &&
         up.out_width <= SIDE_MAX && up.pixel <= INT32_MAX;
}

struct picture picture_of(const struct launch_upsample &up) {
  return {up.x,
          up.y,
          up.images,
          static_cast<unsigned>(up.height),
          static_cast<unsigned>(up.width),
          static_cast<unsigned>(up.out_height),
          static_cast<unsigned>(up.out_width),
          static_cast<int>(up.pixel)};
}

}  // namespace

cudaError_t launch_concat(const struct launch_concat *concat, cudaStream_t stream) {
  const int64_t width = concat->left + concat->right;
  if (width > INT32_MAX) {
    return cudaErrorInvalidValue;
  }
  const uint64_t all = static_cast<uint64_t>(concat->left | concat->right) | address_of(concat->a) |
                       address_of(concat->b) | address_of(concat->y);
  return BY_PIECE(piece_power(all), start_concat, *concat, stream);
}

cudaError_t launch_upsample(const struct launch_upsample *upsample, cudaStream_t stream) {
  if (!is_picture(*upsample)) {
    return cudaErrorInvalidValue;
  }
  const uint64_t all =
      static_cast<uint64_t>(upsample->pixel) | address_of(upsample->x) | address_of(upsample->y);
  return BY_PIECE(piece_power(all), start_upsample, picture_of(*upsample), stream);
}
