/* orientation.h - how a camera was held, from a file's EXIF. */
#ifndef DARKROOM_IMAGES_ORIENTATION_H
#define DARKROOM_IMAGES_ORIENTATION_H

#include <stddef.h>
#include <stdint.h>

/* EXIF's orientation 1..8; 1 (as it is) where there is none or it cannot be read. data is EXIF as
 * files have it: "Exif\0\0" and TIFF, or TIFF alone. */
int orientation_of(const uint8_t *data, size_t bytes);

#endif
