/* decode_inside.h - what decode.c asks of the file of each format. */
#ifndef DARKROOM_IMAGES_DECODE_INSIDE_H
#define DARKROOM_IMAGES_DECODE_INSIDE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "images/image.h"

/* A file and what is known of it. */
struct encoded {
  const uint8_t *data;
  size_t bytes;
  int orientation; /* EXIF's, 1 when it has none: filled in by the decoder */
};

/* RGB as it lies in the file. *out is written only on success. */
enum status decode_png(struct encoded *file, struct image *out);
enum status decode_jpeg(struct encoded *file, struct image *out);
enum status decode_webp(struct encoded *file, struct image *out);

/* OK when a picture of this size may be decoded. */
enum status decode_check_size(uint64_t width, uint64_t height);

#endif
