/* decode.c - which format a file has, by its first bytes; then upright. */
#include "images/decode.h"

#include <stdbool.h>
#include <string.h>

#include "images/decode_inside.h"

static bool is_png(const uint8_t *data) { return memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0; }
static bool is_jpeg(const uint8_t *data) { return memcmp(data, "\xff\xd8\xff", 3) == 0; }
static bool is_webp(const uint8_t *data) {
  return memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
}
enum { SIGNATURE_BYTES_MAX = 12 };

static const struct format {
  bool (*is)(const uint8_t *data);
  enum status (*decode)(struct encoded *file, struct image *out);
} formats[] = {{is_png, decode_png}, {is_jpeg, decode_jpeg}, {is_webp, decode_webp}};

static enum status upright(struct image *image, int orientation, struct image *out) {
  if (orientation == 1) {
    *out = *image;
    return OK;
  }
  struct image turned = {0};
  enum status status = image_orient(image, orientation, &turned);
  image_close(image);
  if (status == OK) {
    *out = turned;
  }
  return status;
}

enum status image_decode(const uint8_t *data, size_t bytes, struct image *out) {
  struct encoded file = {data, bytes, 1};
  for (size_t i = 0; bytes >= SIGNATURE_BYTES_MAX && i < sizeof formats / sizeof formats[0]; i++) {
    if (formats[i].is(data)) {
      struct image image = {0};
      TRY(formats[i].decode(&file, &image));
      return upright(&image, file.orientation, out);
    }
  }
  return fail(BAD_INPUT, "not a PNG, JPEG or WebP file");
}
