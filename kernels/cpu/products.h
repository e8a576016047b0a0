/* products.h - the small matrix products inside attention: scores = q k' and y = weights v. */
#ifndef DARKROOM_KERNELS_CPU_PRODUCTS_H
#define DARKROOM_KERNELS_CPU_PRODUCTS_H

#include <stdint.h>

#include "kernels/cpu/cpu.h"

#define PANEL 16 /* columns of b that lie together */

/* c[rows, panels * 16] = a[rows, depth] b, or += with adds. b lies in panels of 16 columns: f32 [depth][16], bf16
 * [depth / 2][16][2] with depth even. Steps in elements. Each sum runs over depth in order, whatever the other sizes. */
struct product {
  const void *a, *b;
  float *c;
  int64_t a_step, b_step, c_step; /* from row to row, panel to panel, row to row */
  int64_t rows, panels, depth;
  bool adds;
};
typedef void (*product_function)(const struct product *product);

/* The fastest for the processor; bf16 only where it has avx512_bf16. */
product_function product_choose(enum level level, enum element element);

#endif
