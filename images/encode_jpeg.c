/* encode_jpeg.c - libjpeg, whose errors jump: everything it may jump over is plain data of the
 * caller. From quality 90 on colours keep their full resolution: who asks for much means
 * edges, too. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "images/encode_inside.h"
#include "images/metadata.h"

#define EXIF_HEADER "Exif\0"
#define XMP_HEADER "http://ns.adobe.com/xap/1.0/"
enum {
  METADATA_MARKER = JPEG_APP0 + 1,
  MARKER_BYTES_MAX = 65533,
  EXIF_HEADER_BYTES = 6,
  SHARP_QUALITY = 90,
  TEXT_BYTES_MAX = 1 << 20,
};

/* What is made on the way; setjmp comes back to who closes it. */
struct work {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr error;
  jmp_buf jump;
  unsigned char *file; /* libjpeg's, by malloc */
  unsigned long bytes;
  struct bytes exif, xmp; /* with their headers */
};

static struct work *work_of(j_common_ptr jpeg) { return jpeg->client_data; }

static void on_error(j_common_ptr jpeg) {
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  fail(EXHAUSTED, "jpeg: %s", text);
  longjmp(work_of(jpeg)->jump, 1);
}

static void on_message(j_common_ptr jpeg, int level) { (void)jpeg, (void)level; }

static void put_marker(j_compress_ptr jpeg, const struct bytes *content) {
  if (content->length > 0 && content->length <= MARKER_BYTES_MAX) {
    jpeg_write_marker(jpeg, METADATA_MARKER, content->data, (unsigned)content->length);
  }
}

static void set_quality(j_compress_ptr jpeg, int quality) {
  jpeg_set_quality(jpeg, quality, TRUE);
  int sampling = quality >= SHARP_QUALITY ? 1 : 2;
  jpeg->comp_info[0].h_samp_factor = sampling;
  jpeg->comp_info[0].v_samp_factor = sampling;
  jpeg->optimize_coding = TRUE;
}

static enum status write_guarded(struct work *work, const struct image *image, int quality) {
  if (setjmp(work->jump) != 0) {
    return EXHAUSTED;
  }
  j_compress_ptr jpeg = &work->jpeg;
  jpeg_create_compress(jpeg);
  jpeg_mem_dest(jpeg, &work->file, &work->bytes);
  jpeg->image_width = image->width;
  jpeg->image_height = image->height;
  jpeg->input_components = 3;
  jpeg->in_color_space = JCS_RGB;
  jpeg_set_defaults(jpeg);
  set_quality(jpeg, quality);
  jpeg_start_compress(jpeg, TRUE);
  put_marker(jpeg, &work->exif);
  put_marker(jpeg, &work->xmp);
  while (jpeg->next_scanline < jpeg->image_height) {
    JSAMPROW row = image->pixels + (size_t)jpeg->next_scanline * image->width * 3;
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return OK;
}

static enum status make_texts(struct work *work, const struct encode_texts *texts) {
  if (texts->infotext != NULL) {
    TRY(bytes_append(&work->exif, EXIF_HEADER, EXIF_HEADER_BYTES));
    TRY(metadata_exif(texts->infotext, &work->exif));
  }
  if (texts->json != NULL) {
    TRY(bytes_append(&work->xmp, XMP_HEADER, sizeof XMP_HEADER));
    TRY(metadata_xmp(texts->json, &work->xmp));
  }
  return OK;
}

enum status encode_jpeg(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out) {
  struct work *work = calloc(1, sizeof *work);
  if (work == NULL) {
    return fail(EXHAUSTED, "no memory for a JPEG");
  }
  bytes_open(&work->exif, TEXT_BYTES_MAX);
  bytes_open(&work->xmp, TEXT_BYTES_MAX);
  work->jpeg.err = jpeg_std_error(&work->error);
  work->error.error_exit = on_error;
  work->error.emit_message = on_message;
  work->jpeg.client_data = work;
  enum status status = make_texts(work, texts);
  status = status == OK ? write_guarded(work, image, quality) : status;
  status = status == OK ? bytes_append(out, work->file, work->bytes) : status;
  jpeg_destroy_compress(&work->jpeg);
  free(work->file);
  bytes_close(&work->exif);
  bytes_close(&work->xmp);
  free(work);
  return status;
}
