/* encode.c - a row per format. */
#include "images/encode.h"

#include "base/limits.h"
#include "images/encode_inside.h"

static const struct {
  const char *ending, *type;
  enum status (*encode)(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out);
} rows[ENCODINGS] = {
    [ENCODING_PNG] = {"png", "image/png", encode_png},
    [ENCODING_JPEG] = {"jpg", "image/jpeg", encode_jpeg},
    [ENCODING_WEBP] = {"webp", "image/webp", encode_webp},
};

const char *encoding_ending(enum encoding encoding) { return rows[encoding].ending; }
const char *encoding_type(enum encoding encoding) { return rows[encoding].type; }

enum status image_encode(const struct image *image, enum encoding encoding, int quality,
                         const struct encode_texts *texts, struct bytes *out) {
  if (image->width == 0 || image->height == 0 || image->width > JOB_SIDE_PIXELS_MAX ||
      image->height > JOB_SIDE_PIXELS_MAX || image->channels != 3) {
    return fail(BAD_INPUT, "an image of %ux%u pixels and %u channels cannot be written",
                image->width, image->height, image->channels);
  }
  return rows[encoding].encode(image, quality, texts, out);
}
