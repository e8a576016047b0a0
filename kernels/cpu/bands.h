/* bands.h - one image of a large convolution or product cut into bands of its rows, so that no
 * single call of oneDNN takes long.
 *
 * oneDNN tells nothing before it is through: a 3x3 convolution over 2048x2048 pixels and 256
 * channels is one call of 5 TFLOP, some 10 s on two fast cores and minutes on slow ones, in which a
 * watcher cannot tell work from a hang. Bands follow from the image's own shape alone, so bits
 * depend neither on batch mates nor on how fast the machine is.
 */
#ifndef DARKROOM_KERNELS_CPU_BANDS_H
#define DARKROOM_KERNELS_CPU_BANDS_H

#include "kernels/cpu/problem.h"

/* Multiplications and additions of one call at most: 0.1 s at the 450 GFLOP/s of two cores with
 * bf16, 1.5 s at 30 GFLOP/s. No layer of a 512x512 U-Net is as large. */
#define BAND_WORK_MAX ((int64_t)48 << 30)

/* How many bands one batch row is cut into if none may be larger than work_max: 1 = it is not cut.
 */
int64_t bands_of(const struct problem *problem, int64_t work_max);

struct band {
  struct problem problem;   /* of this band: its height (width where the height is 1) and padding */
  int64_t x_bytes, y_bytes; /* where it begins in x and y */
};
/* The index-th of `count` bands, top first; its outputs may be none (out_height 0). */
struct band band_cut(const struct problem *problem, int64_t index, int64_t count);

#endif
