/* image.h - pixels in memory: rows packed, 1 channel (grey) or 3 (RGB), 8 bits each. */
#ifndef DARKROOM_IMAGES_IMAGE_H
#define DARKROOM_IMAGES_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct image {
  uint32_t width, height, channels;
  uint8_t *pixels; /* height x width x channels; owned */
};

/* Zeroed. EXHAUSTED without memory. */
enum status image_open(uint32_t width, uint32_t height, uint32_t channels, struct image *out);
/* Safe on a zeroed one. */
void image_close(struct image *image);
size_t image_bytes(const struct image *image);

/* A new image of another kind; the given one is left as it is. EXHAUSTED without memory. */

/* RGB to grey as Pillow's convert("L"): 0.299 R + 0.587 G + 0.114 B (ITU-R 601-2), rounded. */
enum status image_grey(const struct image *image, struct image *out);
/* Turned and mirrored as EXIF's orientation 1..8 wants it seen. */
enum status image_orient(const struct image *image, int orientation, struct image *out);

/* Where an image lies on a larger canvas, in pixels. */
struct canvas {
  uint32_t width, height;
  uint32_t left, top;
};
/* The canvas with the image on it; around it the image's own edge is drawn out. BAD_INPUT when it
 * does not fit. */
enum status image_place(const struct image *image, const struct canvas *canvas, struct image *out);
/* A grey canvas that is `around` wherever the image (grey, or none: 0) does not lie. */
enum status image_frame(const struct image *image, const struct canvas *canvas, uint8_t around,
                        struct image *out);

#endif
