/* golden_pictures.h - pictures in a test's book against those of diffusers. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_GOLDEN_PICTURES_H
#define DARKROOM_TESTS_UNIT_ENGINE_GOLDEN_PICTURES_H

#include "tests/unit/engine/book.h"
#include "tests/unit/model/tiny.h"

enum { SIDE = 64, PIXEL_BYTES = SIDE * SIDE * 3 };

/* Whether more than 0.1% of the picture of the job `name` are further than 1 from "name.pixels". */
static inline bool picture_is_off(struct book *book, const struct goldens *goldens,
                                  const char *name) {
  char pixels[64];
  snprintf(pixels, sizeof pixels, "%s.pixels", name);
  const uint8_t *want = golden(goldens, pixels);
  const struct entry *entry = book_find(book, name);
  assert_int_equal(entry->finished, 1);
  int off = 0;
  for (int i = 0; i < PIXEL_BYTES; i++) {
    off += abs(entry->rgb[i] - want[i]) > 1;
  }
  double share = (double)off / PIXEL_BYTES;
  print_message("%-16s %.2f%% of pixels off by more than 1\n", name, 100 * share);
  return share > 0.001;
}

#endif
