/* decode_size.c - the limit that every decoder asks for before it takes memory. */
#include "base/limits.h"
#include "images/decode_inside.h"

enum status decode_check_size(uint64_t width, uint64_t height) {
  if (width == 0 || height == 0 || width > INPUT_SIDE_PIXELS_MAX ||
      height > INPUT_SIDE_PIXELS_MAX || width * height > INPUT_PIXELS_MAX) {
    return fail(BAD_INPUT, "a picture of %llux%llu pixels: sides of 1..%d and %d pixels at most",
                (unsigned long long)width, (unsigned long long)height, INPUT_SIDE_PIXELS_MAX,
                INPUT_PIXELS_MAX);
  }
  return OK;
}
