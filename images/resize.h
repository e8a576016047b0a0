/* resize.h - another size, with the pixels that Pillow gives: what diffusers' pipelines do to their
 * pictures is what ours do. */
#ifndef DARKROOM_IMAGES_RESIZE_H
#define DARKROOM_IMAGES_RESIZE_H

#include "base/status.h"
#include "images/image.h"

enum filter {
  FILTER_LANCZOS, /* three lobes; widened when making smaller, so that nothing is skipped */
  FILTER_NEAREST,
};

/* A new image of that size; one that has it already is copied. Sides 1..INPUT_SIDE_PIXELS_MAX.
 * EXHAUSTED without memory. */
enum status image_resize(const struct image *image, uint32_t width, uint32_t height,
                         enum filter filter, struct image *out);

#endif
