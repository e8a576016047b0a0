/* encode_png.c - libpng, whose errors jump: everything it may jump over is plain data of the
 * caller. */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "images/encode_inside.h"

enum {
  COMPRESSION_LEVEL = 4 /* within 3% of level 9's size in a third of the time */
};

static void append(png_structp png, png_bytep data, size_t bytes) {
  if (bytes_append(png_get_io_ptr(png), data, bytes) != OK) {
    png_error(png, "no room");
  }
}

static void flush(png_structp png) { (void)png; }

static void on_error(png_structp png, png_const_charp message) {
  fail(EXHAUSTED, "png: %s", message);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static bool ascii(const char *text) {
  for (; *text != '\0'; text++) {
    if ((unsigned char)*text >= 0x80) {
      return false;
    }
  }
  return true;
}

static void set_text(png_structp png, png_infop info, const char *keyword, const char *text) {
  if (text == NULL) {
    return;
  }
  bool plain = ascii(text);
  png_text chunk = {
      .compression = plain ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE,
      .key = (char *)keyword, /* libpng only reads them */
      .text = (char *)text,
  };
  *(plain ? &chunk.text_length : &chunk.itxt_length) = strlen(text);
  png_set_text(png, info, &chunk, 1);
}

static void write_all(png_structp png, png_infop info, const struct image *image) {
  png_write_info(png, info);
  for (uint32_t row = 0; row < image->height; row++) {
    png_write_row(png, image->pixels + (size_t)row * image->width * 3);
  }
  png_write_end(png, info);
}

/* Whatever setjmp comes back to uses only its parameters, which nothing here changes. */
static enum status encode(png_structp png, png_infop info, const struct image *image,
                          const struct encode_texts *texts) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return EXHAUSTED;
  }
  png_set_IHDR(png, info, image->width, image->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, COMPRESSION_LEVEL);
  set_text(png, info, "parameters", texts->infotext);
  set_text(png, info, "darkroom", texts->json);
  write_all(png, info, image);
  return OK;
}

enum status encode_png(const struct image *image, int quality, const struct encode_texts *texts,
                       struct bytes *out) {
  (void)quality;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
  png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
  if (info == NULL) {
    png_destroy_write_struct(&png, NULL);
    return fail(EXHAUSTED, "no memory for a PNG");
  }
  png_set_write_fn(png, out, append, flush);
  enum status status = encode(png, info, image, texts);
  png_destroy_write_struct(&png, &info);
  return status;
}
