/* decode.h - PNG, JPEG and WebP files to RGB, upright.
 *
 * What a file says of its size is held to the limits before anything is decoded. Transparency is
 * left off and 16 bits become 8, as Pillow's convert("RGB") does; the first picture of an animation
 * is the picture. What is read belongs to strangers.
 */
#ifndef DARKROOM_IMAGES_DECODE_H
#define DARKROOM_IMAGES_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "images/image.h"

/* BAD_INPUT: not a PNG, JPEG or WebP, damaged, or of more than INPUT_PIXELS_MAX pixels or
 * INPUT_SIDE_PIXELS_MAX on a side. EXHAUSTED without memory. */
enum status image_decode(const uint8_t *data, size_t bytes, struct image *out);

#endif
