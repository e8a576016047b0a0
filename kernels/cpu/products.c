/* products.c - register tiles: some rows times some panels of sums stay in registers while depth runs by.
 *
 * A tile of r rows and v panels needs r * v registers for sums, v for b and one for a: up to 32 with AVX-512, 16 with AVX2.
 */
#include "kernels/cpu/products.h"

#include <immintrin.h>

#include "kernels/cpu/vector.h"

enum { ROWS_MAX = 12, PANELS_MAX = 4 }; /* of a tile; what a tile does not use is never stored */
#define UNROLL _Pragma("GCC unroll 16")

/* ---- AVX-512, bf16 pairs ---- */

TARGET_BF16 INLINE __m512 dot_pairs(__m512 sum, int32_t a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(a), (__m512bh)b);
}

TARGET_BF16 INLINE void tile_bf16(const struct product *p, int64_t row, int64_t panel, const int rows,
                                  const int panels) {
  const uint16_t *a = (const uint16_t *)p->a + row * p->a_step, *b = (const uint16_t *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  __m512 sums[ROWS_MAX][PANELS_MAX];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      sums[r][v] = p->adds ? _mm512_loadu_ps(c + r * p->c_step + v * PANEL) : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < p->depth; k += 2) {
    __m512i columns[PANELS_MAX];
    UNROLL for (int v = 0; v < panels; v++) {
      columns[v] = _mm512_loadu_si512(b + v * p->b_step + k * PANEL);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      int32_t pair;
      memcpy(&pair, a + r * p->a_step + k, sizeof pair);
      UNROLL for (int v = 0; v < panels; v++) {
        sums[r][v] = dot_pairs(sums[r][v], pair, columns[v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      _mm512_storeu_ps(c + r * p->c_step + v * PANEL, sums[r][v]);
    }
  }
}

/* ---- AVX-512, f32 ---- */

TARGET_AVX512 INLINE void tile_avx512(const struct product *p, int64_t row, int64_t panel, const int rows,
                                      const int panels) {
  const float *a = (const float *)p->a + row * p->a_step, *b = (const float *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  __m512 sums[ROWS_MAX][PANELS_MAX];
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      sums[r][v] = p->adds ? _mm512_loadu_ps(c + r * p->c_step + v * PANEL) : _mm512_setzero_ps();
    }
  }
  for (int64_t k = 0; k < p->depth; k++) {
    __m512 columns[PANELS_MAX];
    UNROLL for (int v = 0; v < panels; v++) {
      columns[v] = _mm512_loadu_ps(b + v * p->b_step + k * PANEL);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      __m512 value = _mm512_set1_ps(a[r * p->a_step + k]);
      UNROLL for (int v = 0; v < panels; v++) {
        sums[r][v] = _mm512_fmadd_ps(value, columns[v], sums[r][v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      _mm512_storeu_ps(c + r * p->c_step + v * PANEL, sums[r][v]);
    }
  }
}

/* ---- AVX2, f32: a panel is two registers ---- */

TARGET_AVX2 INLINE void tile_avx2(const struct product *p, int64_t row, int64_t panel, const int rows,
                                  const int panels) {
  const float *a = (const float *)p->a + row * p->a_step, *b = (const float *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  __m256 sums[ROWS_MAX][2];
  (void)panels;
  UNROLL for (int r = 0; r < rows; r++) {
    sums[r][0] = p->adds ? _mm256_loadu_ps(c + r * p->c_step) : _mm256_setzero_ps();
    sums[r][1] = p->adds ? _mm256_loadu_ps(c + r * p->c_step + PANEL / 2) : _mm256_setzero_ps();
  }
  for (int64_t k = 0; k < p->depth; k++) {
    __m256 left = _mm256_loadu_ps(b + k * PANEL), right = _mm256_loadu_ps(b + k * PANEL + PANEL / 2);
    UNROLL for (int r = 0; r < rows; r++) {
      __m256 value = _mm256_set1_ps(a[r * p->a_step + k]);
      sums[r][0] = _mm256_fmadd_ps(value, left, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(value, right, sums[r][1]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    _mm256_storeu_ps(c + r * p->c_step, sums[r][0]);
    _mm256_storeu_ps(c + r * p->c_step + PANEL / 2, sums[r][1]);
  }
}

/* ---- anything ---- */

INLINE void tile_plain(const struct product *p, int64_t row, int64_t panel, const int rows, const int panels) {
  (void)rows;
  (void)panels;
  const float *a = (const float *)p->a + row * p->a_step, *b = (const float *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  v16 sum = p->adds ? load_f32(c) : all(0);
  for (int64_t k = 0; k < p->depth; k++) {
    sum += a[k] * load_f32(b + k * PANEL);
  }
  store_f32(c, sum);
}

/* ---- all rows and panels of a product ---- */

/* Tiles of `most` rows, then of four, then single rows. */
#define STRIP(tile, panel, most, panels)                 \
  do {                                                   \
    int64_t row = 0;                                     \
    for (; row + (most) <= p->rows; row += (most)) {     \
      tile(p, row, panel, most, panels);                 \
    }                                                    \
    for (; row + 4 <= p->rows; row += 4) {               \
      tile(p, row, panel, 4, panels);                    \
    }                                                    \
    for (; row < p->rows; row++) {                       \
      tile(p, row, panel, 1, panels);                    \
    }                                                    \
  } while (0)

/* Panels by four, five as three and two rather than four and one. */
#define PRODUCT_512(name, target, tile)                               \
  target static void name(const struct product *p) {                  \
    int64_t panel = 0;                                                \
    for (; p->panels - panel >= 6 || p->panels - panel == 4; panel += 4) { \
      STRIP(tile, panel, 6, 4);                                       \
    }                                                                 \
    if (p->panels - panel == 5 || p->panels - panel == 3) {           \
      STRIP(tile, panel, 8, 3);                                       \
      panel += 3;                                                     \
    }                                                                 \
    if (p->panels - panel == 2) {                                     \
      STRIP(tile, panel, 12, 2);                                      \
      panel += 2;                                                     \
    }                                                                 \
    if (p->panels - panel == 1) {                                     \
      STRIP(tile, panel, 12, 1);                                      \
    }                                                                 \
  }
PRODUCT_512(product_bf16, TARGET_BF16, tile_bf16)
PRODUCT_512(product_avx512, TARGET_AVX512, tile_avx512)

TARGET_AVX2 static void product_avx2(const struct product *p) {
  for (int64_t panel = 0; panel < p->panels; panel++) {
    STRIP(tile_avx2, panel, 6, 1);
  }
}

static void product_plain(const struct product *p) {
  for (int64_t panel = 0; panel < p->panels; panel++) {
    STRIP(tile_plain, panel, 1, 1);
  }
}

product_function product_choose(enum level level, enum element element) {
  static const product_function functions[LEVEL_COUNT] = {product_plain, product_avx2, product_avx512};
  return element == ELEMENT_BF16 ? product_bf16 : functions[level];
}
