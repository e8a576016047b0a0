/* image.c - pixels in memory: grey, turned, placed. */
#include "images/image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum status image_open(uint32_t width, uint32_t height, uint32_t channels, struct image *out) {
  struct image image = {width, height, channels, NULL};
  image.pixels = calloc(image_bytes(&image) + 1, 1); /* an empty one is memory, too */
  if (image.pixels == NULL) {
    return fail(EXHAUSTED, "no memory for an image of %ux%u pixels", width, height);
  }
  *out = image;
  return OK;
}

void image_close(struct image *image) {
  free(image->pixels);
  *image = (struct image){0};
}

size_t image_bytes(const struct image *image) {
  return (size_t)image->width * image->height * image->channels;
}

static uint8_t *at(const struct image *image, uint32_t x, uint32_t y) {
  return image->pixels + ((size_t)y * image->width + x) * image->channels;
}

/* In 16 bits of fraction, as Pillow's L24: its results are ours, bit for bit. */
enum status image_grey(const struct image *image, struct image *out) {
  struct image grey = {0};
  TRY(image_open(image->width, image->height, 1, &grey));
  size_t pixels = image_bytes(&grey);
  for (size_t i = 0; i < pixels; i++) {
    const uint8_t *from = image->pixels + i * image->channels;
    grey.pixels[i] =
        image->channels == 1
            ? from[0]
            : (uint8_t)((from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u) >> 16);
  }
  *out = grey;
  return OK;
}

/* orientation ------------------------------------------------------------------------------- */

/* What EXIF's numbers mean: first the sides change places, then each may be mirrored. */
static const struct turn {
  bool swap, mirror_x, mirror_y;
} turns[] = {
    [1] = {false, false, false}, [2] = {false, true, false}, [3] = {false, true, true},
    [4] = {false, false, true},  [5] = {true, false, false}, [6] = {true, true, false},
    [7] = {true, true, true},    [8] = {true, false, true},
};

enum status image_orient(const struct image *image, int orientation, struct image *out) {
  const struct turn *turn = &turns[orientation >= 1 && orientation <= 8 ? orientation : 1];
  struct image turned = {0};
  TRY(image_open(turn->swap ? image->height : image->width,
                 turn->swap ? image->width : image->height, image->channels, &turned));
  for (uint32_t y = 0; y < turned.height; y++) {
    for (uint32_t x = 0; x < turned.width; x++) {
      uint32_t from_x = turn->mirror_x ? turned.width - 1 - x : x;
      uint32_t from_y = turn->mirror_y ? turned.height - 1 - y : y;
      const uint8_t *from = turn->swap ? at(image, from_y, from_x) : at(image, from_x, from_y);
      memcpy(at(&turned, x, y), from, image->channels);
    }
  }
  *out = turned;
  return OK;
}

/* placing ---------------------------------------------------------------------------------- */

static bool fits(const struct image *image, const struct canvas *canvas) {
  return (uint64_t)canvas->left + image->width <= canvas->width &&
         (uint64_t)canvas->top + image->height <= canvas->height && image->width > 0 &&
         image->height > 0;
}

/* The nearest place of the image to one of the canvas. */
static uint32_t nearest(uint32_t place, uint32_t begin, uint32_t length) {
  uint32_t inside = place < begin ? 0 : place - begin;
  return inside < length ? inside : length - 1;
}

enum status image_place(const struct image *image, const struct canvas *canvas, struct image *out) {
  if (!fits(image, canvas)) {
    return fail(BAD_INPUT, "an image of %ux%u pixels does not fit on its canvas", image->width,
                image->height);
  }
  struct image placed = {0};
  TRY(image_open(canvas->width, canvas->height, image->channels, &placed));
  for (uint32_t y = 0; y < placed.height; y++) {
    uint32_t from_y = nearest(y, canvas->top, image->height);
    for (uint32_t x = 0; x < placed.width; x++) {
      memcpy(at(&placed, x, y), at(image, nearest(x, canvas->left, image->width), from_y),
             image->channels);
    }
  }
  *out = placed;
  return OK;
}

enum status image_frame(const struct image *image, const struct canvas *canvas, uint8_t around,
                        struct image *out) {
  if (!fits(image, canvas) || image->channels != 1) {
    return fail(BAD_INPUT, "a mask of %ux%u pixels does not fit on its canvas", image->width,
                image->height);
  }
  struct image framed = {0};
  TRY(image_open(canvas->width, canvas->height, 1, &framed));
  memset(framed.pixels, around, image_bytes(&framed));
  for (uint32_t y = 0; y < image->height; y++) {
    memcpy(at(&framed, canvas->left, canvas->top + y), at(image, 0, y), image->width);
  }
  *out = framed;
  return OK;
}
