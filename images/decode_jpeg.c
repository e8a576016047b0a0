/* decode_jpeg.c - libjpeg, whose errors jump: everything it may jump over is plain data of the
 * caller. CMYK is turned into RGB as Pillow does it. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/limits.h"
#include "images/decode_inside.h"
#include "images/orientation.h"

enum {
  EXIF_MARKER = JPEG_APP0 + 1,
  EXIF_BYTES_MAX = 65535,
  SCANS_MAX = 64, /* a file of many empty scans is work without pixels */
  MEMORY_BYTES_MAX = 512 << 20,
};

struct failure {
  struct jpeg_error_mgr base; /* first: libjpeg knows it by this */
  jmp_buf jump;
};

static void on_error(j_common_ptr jpeg) {
  struct failure *failure = (struct failure *)jpeg->err;
  char text[JMSG_LENGTH_MAX];
  failure->base.format_message(jpeg, text);
  fail(BAD_INPUT, "jpeg: %s", text);
  longjmp(failure->jump, 1);
}

/* libjpeg draws grey where a file is cut off: that is no picture. Its other remarks are about files
 * that everybody shows. */
static void on_message(j_common_ptr jpeg, int level) {
  int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) {
    on_error(jpeg);
  }
}

static void on_progress(j_common_ptr jpeg) {
  if (((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX) {
    fail(BAD_INPUT, "jpeg: more than %d scans", SCANS_MAX);
    longjmp(((struct failure *)jpeg->err)->jump, 1);
  }
}

static uint8_t cut(int value) { return (uint8_t)(value < 0 ? 0 : value); }

static int product(int a, int b) { /* a * b / 255, rounded */
  int whole = a * b + 128;
  return ((whole >> 8) + whole) >> 8;
}

/* Adobe's files have their inks the other way round. */
static void from_cmyk(const uint8_t *inks, uint32_t pixels, bool inverted, uint8_t *rgb) {
  for (uint32_t i = 0; i < pixels; i++) {
    int flip = inverted ? 255 : 0;
    int white = 255 - (inks[4 * i + 3] ^ flip);
    for (int c = 0; c < 3; c++) {
      rgb[3 * i + c] = cut(white - product(inks[4 * i + c] ^ flip, white));
    }
  }
}

static enum status read_rows(j_decompress_ptr jpeg, uint8_t *row, struct image *image) {
  while (jpeg->output_scanline < jpeg->output_height) {
    uint8_t *to = image->pixels + (size_t)jpeg->output_scanline * image->width * 3;
    JSAMPROW rows[] = {row != NULL ? row : to};
    jpeg_read_scanlines(jpeg, rows, 1);
    if (row != NULL) {
      from_cmyk(row, image->width, jpeg->saw_Adobe_marker, to);
    }
  }
  jpeg_finish_decompress(jpeg);
  return OK;
}

static void keep_orientation(j_decompress_ptr jpeg, struct encoded *file) {
  for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next) {
    if (marker->data_length > 6 && memcmp(marker->data, "Exif\0", 6) == 0) {
      file->orientation = orientation_of(marker->data, marker->data_length);
      return;
    }
  }
}

/* What is made on the way; setjmp comes back to who closes it. */
struct work {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_progress_mgr progress;
  struct failure failure;
  struct image image;
  uint8_t *row; /* of a CMYK file */
};

static enum status read_all(struct work *work, struct encoded *file) {
  j_decompress_ptr jpeg = &work->jpeg;
  jpeg_mem_src(jpeg, file->data, file->bytes);
  jpeg_save_markers(jpeg, EXIF_MARKER, EXIF_BYTES_MAX);
  jpeg_read_header(jpeg, TRUE);
  TRY(decode_check_size(jpeg->image_width, jpeg->image_height));
  bool inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  jpeg->out_color_space = inks ? JCS_CMYK : JCS_RGB;
  keep_orientation(jpeg, file);
  jpeg_start_decompress(jpeg);
  TRY(image_open(jpeg->output_width, jpeg->output_height, 3, &work->image));
  if (inks) {
    work->row = malloc((size_t)jpeg->output_width * 4);
    if (work->row == NULL) {
      return fail(EXHAUSTED, "no memory for a row");
    }
  }
  return read_rows(jpeg, work->row, &work->image);
}

static enum status read_guarded(struct work *work, struct encoded *file) {
  if (setjmp(work->failure.jump) != 0) {
    return BAD_INPUT;
  }
  jpeg_create_decompress(&work->jpeg);
  work->jpeg.mem->max_memory_to_use = MEMORY_BYTES_MAX;
  work->progress.progress_monitor = on_progress;
  work->jpeg.progress = &work->progress;
  return read_all(work, file);
}

enum status decode_jpeg(struct encoded *file, struct image *out) {
  struct work *work = calloc(1, sizeof *work);
  if (work == NULL) {
    return fail(EXHAUSTED, "no memory for a JPEG");
  }
  work->jpeg.err = jpeg_std_error(&work->failure.base);
  work->failure.base.error_exit = on_error;
  work->failure.base.emit_message = on_message;
  enum status status = read_guarded(work, file);
  jpeg_destroy_decompress(&work->jpeg);
  free(work->row);
  struct image image = work->image;
  free(work);
  if (status != OK) {
    image_close(&image);
    return status;
  }
  *out = image;
  return OK;
}
