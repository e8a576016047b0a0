/* encode.h - RGB to a PNG, JPEG or WebP file that says how it was made. */
#ifndef DARKROOM_IMAGES_ENCODE_H
#define DARKROOM_IMAGES_ENCODE_H

#include "base/bytes.h"
#include "base/status.h"
#include "images/image.h"

enum encoding { ENCODING_PNG, ENCODING_JPEG, ENCODING_WEBP, ENCODINGS };

/* What stands in the file, NULL: nothing. PNG: text chunks "parameters" and "darkroom" (tEXt when
 * the text is plain ASCII, iTXt otherwise). JPEG and WebP: EXIF's UserComment, where AUTOMATIC1111
 * and many tools look for infotext, and XMP (dc:description in the namespace of darkroom). What
 * does not fit into a JPEG's segment of 64 KiB is left out. */
struct encode_texts {
  const char *infotext; /* UTF-8 */
  const char *json;
};

/* Appends the file: 8 bit RGB, no time, so that equal pixels, texts and quality give equal bytes.
 * quality 1..100, of no meaning to PNG. BAD_INPUT for a side that is 0 or over JOB_SIDE_PIXELS_MAX,
 * or an image that is not RGB; EXHAUSTED when out is full. */
enum status image_encode(const struct image *image, enum encoding encoding, int quality,
                         const struct encode_texts *texts, struct bytes *out);

/* "png", "jpg", "webp"; "image/png", ... */
const char *encoding_ending(enum encoding encoding);
const char *encoding_type(enum encoding encoding);

#endif
