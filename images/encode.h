/* encode.h - RGB to a PNG, JPEG or WebP file that says how it was made. */
#ifndef DARKROOM_IMAGES_ENCODE_H
#define DARKROOM_IMAGES_ENCODE_H

#include "base/bytes.h"
#include "base/status.h"
#include "images/image.h"

enum encoding { ENCODING_PNG, ENCODING_JPEG, ENCODING_WEBP, ENCODINGS };

#define ENCODE_INFOTEXT_BYTES_MAX 32700 /* that any format has room for */

/* What stands in the file, NULL: nothing. PNG: text chunks "parameters" and "darkroom" (tEXt when
 * the text is plain ASCII, iTXt otherwise). JPEG and WebP: EXIF's UserComment, where AUTOMATIC1111
 * and many tools look for infotext, and XMP (darkroom:parameters). In a JPEG, XMP beyond a
 * segment's 64 KiB goes into further ones (Extended XMP); EXIF cannot, so infotext beyond
 * ENCODE_INFOTEXT_BYTES_MAX may be refused. Nothing is left out. */
struct encode_texts {
  const char *infotext; /* UTF-8 */
  const char *json;
};

/* Appends the file: 8 bit RGB, no time, so that equal pixels, texts and quality give equal bytes.
 * quality 1..100, of no meaning to PNG. BAD_INPUT for a side that is 0 or over JOB_SIDE_PIXELS_MAX,
 * an image that is not RGB, or a text that is too long or no UTF-8; EXHAUSTED when out is full. */
enum status image_encode(const struct image *image, enum encoding encoding, int quality,
                         const struct encode_texts *texts, struct bytes *out);

/* "png", "jpg", "webp"; "image/png", ... */
const char *encoding_ending(enum encoding encoding);
const char *encoding_type(enum encoding encoding);

#endif
