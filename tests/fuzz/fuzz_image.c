/* fuzz_image.c - bytes of a stranger to a picture: decoded or refused, within the limits, and what
 * was decoded can be turned, made smaller and written again. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/resize.h"

enum { FILE_BYTES_MAX = 1 << 24, SIDE = 16, PIXELS_MAX = 1 << 18 };

static void use(const struct image *image) {
  static const struct encode_texts texts = {"a lake", "{}"};
  struct image small = {0};
  struct image grey = {0};
  struct bytes file;
  bytes_open(&file, FILE_BYTES_MAX);
  if (image_resize(image, SIDE, SIDE, FILTER_LANCZOS, &small) == OK) {
    assert(image_grey(&small, &grey) == OK);
    assert(image_encode(&small, ENCODING_PNG, 90, &texts, &file) == OK);
  }
  image_close(&small);
  image_close(&grey);
  bytes_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct image image = {0};
  if (image_decode(data, bytes, &image) != OK) {
    assert(image.pixels == NULL);
    return 0;
  }
  assert(image.channels == 3 && image.width > 0 && image.height > 0);
  assert((uint64_t)image.width * image.height <= INPUT_PIXELS_MAX);
  if ((uint64_t)image.width * image.height <= PIXELS_MAX) {
    use(&image);
  }
  image_close(&image);
  return 0;
}
