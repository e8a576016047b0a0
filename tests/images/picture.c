/* picture.c - the images room for a story: `picture decode FILE`, `picture resize FILE W H
 * lanczos|nearest`, `picture grey FILE`, `picture place FILE W H LEFT TOP` write "W H C\n" and the
 * pixels to stdout; `picture encode FILE png|jpg|webp QUALITY INFOTEXT JSON` writes a file. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "images/decode.h"
#include "images/encode.h"
#include "images/resize.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static int refuse(void) {
  fprintf(stderr, "%s\n", fail_reason());
  return 1;
}

static uint32_t number(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

static enum status act(int argc, char **argv, const struct image *image, struct image *out) {
  const char *verb = argv[1];
  if (strcmp(verb, "grey") == 0) {
    return image_grey(image, out);
  }
  if (strcmp(verb, "resize") == 0 && argc == 6) {
    enum filter filter = strcmp(argv[5], "nearest") == 0 ? FILTER_NEAREST : FILTER_LANCZOS;
    return image_resize(image, number(argv[3]), number(argv[4]), filter, out);
  }
  if (strcmp(verb, "place") == 0 && argc == 7) {
    struct canvas canvas = {number(argv[3]), number(argv[4]), number(argv[5]), number(argv[6])};
    return image_place(image, &canvas, out);
  }
  return image_orient(image, 1, out);
}

static enum status encode(char **argv, const struct image *image) {
  struct encode_texts texts = {argv[5], argv[6]};
  struct bytes file;
  bytes_open(&file, FILE_BYTES_MAX);
  for (int i = 0; i < ENCODINGS; i++) {
    if (strcmp(encoding_ending((enum encoding)i), argv[3]) == 0) {
      TRY(image_encode(image, (enum encoding)i, (int)number(argv[4]), &texts, &file));
    }
  }
  fwrite(file.data, 1, file.length, stdout);
  bytes_close(&file);
  return OK;
}

int main(int argc, char **argv) {
  struct image image = {0};
  struct image out = {0};
  struct bytes file;
  bytes_open(&file, FILE_BYTES_MAX);
  if (argc < 3 || bytes_read_file(&file, argv[2]) != OK ||
      image_decode(file.data, file.length, &image) != OK) {
    return refuse();
  }
  bool writes = strcmp(argv[1], "encode") == 0 && argc == 7;
  if ((writes ? encode(argv, &image) : act(argc, argv, &image, &out)) != OK) {
    return refuse();
  }
  if (!writes) {
    printf("%u %u %u\n", out.width, out.height, out.channels);
    fwrite(out.pixels, 1, image_bytes(&out), stdout);
  }
  image_close(&image);
  image_close(&out);
  bytes_close(&file);
  return 0;
}
