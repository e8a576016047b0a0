/* image.h - pixels to a PNG file, with the texts it shall carry. */
#ifndef DARKROOM_WORKER_MEDIA_IMAGE_H
#define DARKROOM_WORKER_MEDIA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct image {
  uint32_t width, height;
  const uint8_t *rgb; /* height x width x 3 */
};

/* A text chunk: tEXt when the text is plain ASCII, iTXt (UTF-8) otherwise. */
struct image_text {
  const char *keyword; /* 1..79 letters */
  const char *text;
};

/* Appends the PNG: 8 bit RGB, no time, so that equal pixels and texts give equal bytes. BAD_INPUT
 * for a side that is 0 or over JOB_SIDE_PIXELS_MAX, EXHAUSTED when out is full. */
enum status image_encode_png(const struct image *image, const struct image_text *texts,
                             size_t count, struct bytes *out);

#endif
