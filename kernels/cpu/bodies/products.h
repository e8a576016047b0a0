/* products.h - register tiles: TILE rows of some matrix times a line of vectors; the sums stay in
 * registers while depth runs by.
 *
 * Everything is read in units of four bytes: one float, or two bf16 values that one instruction
 * multiplies and adds. Each sum runs over depth in order, whatever the other sizes.
 */
#ifndef DARKROOM_KERNELS_CPU_BODIES_PRODUCTS_H
#define DARKROOM_KERNELS_CPU_BODIES_PRODUCTS_H

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/units.h"

/* TILE * VECTORS sums, VECTORS operands and one more: within 32 registers with AVX-512, else 16. */
#if LANES == 16
enum { TILE = 8, VECTORS = 3 };
#else
enum { TILE = 4, VECTORS = LANES == 8 ? 3 : 2 };
#endif

/* Of a block: its elements, and how many vectors a line has. Always constant where it is used. */
struct form {
  enum element element;
  int vectors;
};

INLINE int per_unit(const struct form form) { return form.element == ELEMENT_BF16 ? 2 : 1; }

INLINE vec multiply_add(vec a, vec b, vec sum, enum element element) {
  return element == ELEMENT_BF16 ? fused_pairs(a, b, sum) : fused(a, b, sum);
}

/* sums[r][v] += a[unit][r] * b[unit][v] over units, of which there is one at least; a has PANEL
 * rows a unit, TILE of which are wanted. */
INLINE void multiply(const float *a, const float *b, int64_t units, const struct form form,
                     vec sums[TILE][VECTORS]) {
  const float *end = a + units * PANEL;
  do {
    vec line[VECTORS];
    UNROLL for (int v = 0; v < form.vectors; v++) { line[v] = load_f32(b + v * LANES); }
    UNROLL for (int r = 0; r < TILE; r++) {
      vec value = all_of(a + r);
      UNROLL for (int v = 0; v < form.vectors; v++) {
        sums[r][v] = multiply_add(value, line[v], sums[r][v], form.element);
      }
    }
    a += PANEL;
    b += form.vectors * LANES;
  } while (a != end);
}

INLINE void load_tile(const float *from, const struct form form, vec sums[TILE][VECTORS]) {
  UNROLL for (int r = 0; r < TILE; r++) {
    UNROLL for (int v = 0; v < form.vectors; v++) {
      sums[r][v] = load_f32(from + (r * form.vectors + v) * LANES);
    }
  }
}

INLINE void store_tile(float *to, const struct form form, vec sums[TILE][VECTORS]) {
  UNROLL for (int r = 0; r < TILE; r++) {
    UNROLL for (int v = 0; v < form.vectors; v++) {
      store_f32(to + (r * form.vectors + v) * LANES, sums[r][v]);
    }
  }
}

#endif
