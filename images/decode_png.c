/* decode_png.c - libpng, whose errors jump: everything it may jump over is plain data of the
 * caller. */
#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include "images/decode_inside.h"
#include "images/orientation.h"

enum {
  CHUNKS_MAX = 256,
  CHUNK_BYTES_MAX = 1 << 20
}; /* of texts and profiles, none of which is used */

struct reader {
  const uint8_t *at;
  size_t left;
};

static void take(png_structp png, png_bytep room, size_t bytes) {
  struct reader *reader = png_get_io_ptr(png);
  if (bytes > reader->left) {
    png_error(png, "the file is cut off");
  }
  memcpy(room, reader->at, bytes);
  reader->at += bytes;
  reader->left -= bytes;
}

static void on_error(png_structp png, png_const_charp message) {
  fail(BAD_INPUT, "png: %s", message);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

/* 8 bit RGB, whatever the file has. */
static void want_rgb(png_structp png) {
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
}

static void keep_orientation(png_structp png, png_infop info, struct encoded *file) {
  png_bytep exif = NULL;
  png_uint_32 bytes = 0;
  if (png_get_eXIf_1(png, info, &bytes, &exif) != 0) {
    file->orientation = orientation_of(exif, bytes);
  }
}

/* Whatever setjmp comes back to uses only its parameters, and what they point at. */
static enum status read_all(png_structp png, png_infop info, struct encoded *file,
                            struct image *image) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return BAD_INPUT;
  }
  png_read_info(png, info);
  TRY(decode_check_size(png_get_image_width(png, info), png_get_image_height(png, info)));
  want_rgb(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  TRY(image_open(png_get_image_width(png, info), png_get_image_height(png, info), 3, image));
  if (png_get_rowbytes(png, info) != (size_t)image->width * 3) {
    return fail(BAD_INPUT, "png: rows of another length than 8 bit RGB has");
  }
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < image->height; y++) {
      png_read_row(png, image->pixels + (size_t)y * image->width * 3, NULL);
    }
  }
  png_read_end(png, info);
  keep_orientation(png, info, file);
  return OK;
}

enum status decode_png(struct encoded *file, struct image *out) {
  struct reader reader = {file->data, file->bytes};
  struct image image = {0};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
  png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
  if (info == NULL) {
    png_destroy_read_struct(&png, NULL, NULL);
    return fail(EXHAUSTED, "no memory for a PNG");
  }
  png_set_user_limits(png, INT32_MAX, INT32_MAX); /* ours have better words, and come as early */
  png_set_chunk_cache_max(png, CHUNKS_MAX);
  png_set_chunk_malloc_max(png, CHUNK_BYTES_MAX);
  png_set_read_fn(png, &reader, take);
  enum status status = read_all(png, info, file, &image);
  png_destroy_read_struct(&png, &info, NULL);
  if (status != OK) {
    image_close(&image);
    return status;
  }
  *out = image;
  return OK;
}
