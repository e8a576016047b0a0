/* products.c - register tiles: some rows times some panels of sums stay in registers while depth
 * runs by.
 *
 * A tile of r rows and v panels needs r * v registers for sums, v for b and one for a: up to 32
 * with AVX-512. With AVX2 a panel is two registers of 16. Part of every level_*.c.
 */
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/vector.h"

#define UNROLL _Pragma("GCC unroll 16")

/* Tiles of `most` rows, then of four, then single rows. */
#define STRIP(tile, panel, most, panels)             \
  do {                                               \
    int64_t row = 0;                                 \
    for (; row + (most) <= p->rows; row += (most)) { \
      tile(p, row, panel, most, panels);             \
    }                                                \
    for (; row + 4 <= p->rows; row += 4) {           \
      tile(p, row, panel, 4, panels);                \
    }                                                \
    for (; row < p->rows; row++) {                   \
      tile(p, row, panel, 1, panels);                \
    }                                                \
  } while (0)

#if defined(__AVX512F__)

enum { ROWS_MAX = 12, PANELS_MAX = 4 }; /* of a tile; what a tile does not use is never stored */

INLINE void load_sums(const struct product *p, const float *c, int rows, int panels,
                      vec sums[ROWS_MAX][PANELS_MAX]) {
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      sums[r][v] = p->adds ? load_f32(c + r * p->c_step + v * PANEL) : all(0);
    }
  }
}

INLINE void store_sums(const struct product *p, float *c, int rows, int panels,
                       vec sums[ROWS_MAX][PANELS_MAX]) {
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < panels; v++) {
      store_f32(c + r * p->c_step + v * PANEL, sums[r][v]);
    }
  }
}

INLINE void tile_bf16(const struct product *p, int64_t row, int64_t panel, const int rows,
                      const int panels) {
  const uint16_t *a = (const uint16_t *)p->a + row * p->a_step,
                 *b = (const uint16_t *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  vec sums[ROWS_MAX][PANELS_MAX];
  load_sums(p, c, rows, panels, sums);
  for (int64_t k = 0; k < p->depth; k += 2) {
    __m512i columns[PANELS_MAX];
    UNROLL for (int v = 0; v < panels; v++) {
      columns[v] = _mm512_loadu_si512(b + v * p->b_step + k * PANEL);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      int32_t pair;
      memcpy(&pair, a + r * p->a_step + k, sizeof pair);
      __m512bh pairs = (__m512bh)_mm512_set1_epi32(pair);
      UNROLL for (int v = 0; v < panels; v++) {
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], pairs, (__m512bh)columns[v]);
      }
    }
  }
  store_sums(p, c, rows, panels, sums);
}

INLINE void tile_f32(const struct product *p, int64_t row, int64_t panel, const int rows,
                     const int panels) {
  const float *a = (const float *)p->a + row * p->a_step,
              *b = (const float *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  vec sums[ROWS_MAX][PANELS_MAX];
  load_sums(p, c, rows, panels, sums);
  for (int64_t k = 0; k < p->depth; k++) {
    vec columns[PANELS_MAX];
    UNROLL for (int v = 0; v < panels; v++) {
      columns[v] = load_f32(b + v * p->b_step + k * PANEL);
    }
    UNROLL for (int r = 0; r < rows; r++) {
      vec value = all(a[r * p->a_step + k]);
      UNROLL for (int v = 0; v < panels; v++) { sums[r][v] = fused(value, columns[v], sums[r][v]); }
    }
  }
  store_sums(p, c, rows, panels, sums);
}

/* Panels by four; five as three and two rather than four and one. */
#define PRODUCT_512(name, tile)                                            \
  static void name(const struct product *p) {                              \
    int64_t panel = 0;                                                     \
    for (; p->panels - panel >= 6 || p->panels - panel == 4; panel += 4) { \
      STRIP(tile, panel, 6, 4);                                            \
    }                                                                      \
    if (p->panels - panel == 5 || p->panels - panel == 3) {                \
      STRIP(tile, panel, 8, 3);                                            \
      panel += 3;                                                          \
    }                                                                      \
    if (p->panels - panel == 2) {                                          \
      STRIP(tile, panel, 12, 2);                                           \
      panel += 2;                                                          \
    }                                                                      \
    if (p->panels - panel == 1) {                                          \
      STRIP(tile, panel, 12, 1);                                           \
    }                                                                      \
  }
PRODUCT_512(product_bf16, tile_bf16)
PRODUCT_512(product_f32, tile_f32)
#define PRODUCT_BF16 product_bf16

#else

enum { ROWS_MAX = 6, PARTS = PANEL / LANES };

INLINE void tile_f32(const struct product *p, int64_t row, int64_t panel, const int rows,
                     const int panels) {
  const float *a = (const float *)p->a + row * p->a_step,
              *b = (const float *)p->b + panel * p->b_step;
  float *c = p->c + row * p->c_step + panel * PANEL;
  vec sums[ROWS_MAX][PARTS];
  (void)panels;
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < PARTS; v++) {
      sums[r][v] = p->adds ? load_f32(c + r * p->c_step + v * LANES) : all(0);
    }
  }
  for (int64_t k = 0; k < p->depth; k++) {
    UNROLL for (int r = 0; r < rows; r++) {
      vec value = all(a[r * p->a_step + k]);
      UNROLL for (int v = 0; v < PARTS; v++) {
        sums[r][v] = fused(value, load_f32(b + k * PANEL + v * LANES), sums[r][v]);
      }
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    UNROLL for (int v = 0; v < PARTS; v++) { store_f32(c + r * p->c_step + v * LANES, sums[r][v]); }
  }
}

/* Without AVX2's registers a row at a time is best. */
#if defined(__AVX2__)
#define ROWS_MOST 6
#else
#define ROWS_MOST 1
#endif

static void product_f32(const struct product *p) {
  for (int64_t panel = 0; panel < p->panels; panel++) {
    STRIP(tile_f32, panel, ROWS_MOST, 1);
  }
}
#define PRODUCT_BF16 NULL
#endif
