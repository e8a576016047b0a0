/* panels.h - weights on their way into a layout, and what bodies/direct.c is given: weights in
 * panels of outputs, pictures in blocks of pixels. */
#ifndef DARKROOM_KERNELS_CPU_PANELS_H
#define DARKROOM_KERNELS_CPU_PANELS_H

#include "kernels/backend.h"

/* Values of one float type into another, f32 or bf16. */
struct convert {
  enum element from_element, to_element;
  const void *from;
  void *to;
};

/* A product or convolution of bf16 by our own loop (direct.c). A panel is DIRECT_OUTPUTS outputs, a
 * block DIRECT_PIXELS pixels of y, which count through the whole batch. */
#define DIRECT_OUTPUTS 64
#define DIRECT_PIXELS 192
#define DIRECT_TAPS_MAX 64
struct direct {
  const char *x; /* [batch, height, width, inputs] */
  const float
      *packed;       /* of each panel a line of DIRECT_OUTPUTS units for every tap and two inputs */
  const float *bias; /* NULL: none */
  const float *zeros; /* what lies outside of an image: as many as inputs */
  int64_t inputs, outputs, height, width, out_height, out_width;
  int64_t kernel_height, kernel_width, stride, pad_top, pad_left;
  char *y; /* pixel (i, j) of image b begins at value b * y_image + i * y_row + j * y_pixel */
  enum element y_element;
  int64_t y_image, y_row, y_pixel;
  const char *residual;          /* lies as y; NULL: none */
  const struct tensor *channels; /* NULL, or [batch, outputs] */
  enum activation activation;
  bool activates_last; /* behind what is added, not before */
  int64_t pixels, blocks, panels;
  bool panels_first; /* items walk through a panel's blocks, not through a block's panels */
};

/* A kernel of a checkpoint, [outputs, inputs, taps], on its way into panels. */
struct direct_source {
  const void *values;
  enum element element;
  int64_t inputs, taps;
  float *packed;
};

#endif
