/* encode_inside.h - what encode.c asks of each format. Each appends a whole file. */
#ifndef DARKROOM_IMAGES_ENCODE_INSIDE_H
#define DARKROOM_IMAGES_ENCODE_INSIDE_H

#include "images/encode.h"

enum status encode_png(const struct image *image, int quality, const struct encode_texts *texts,
                       struct bytes *out);
enum status encode_jpeg(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out);
enum status encode_webp(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out);

#endif
