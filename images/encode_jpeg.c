/* encode_jpeg.c - libjpeg, whose errors jump: everything it may jump over is plain data of the
 * caller. From quality 90 on colours keep their full resolution: who asks for much means
 * edges, too. */
#include <ctype.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/text.h"
#include "images/encode_inside.h"
#include "images/metadata.h"

#define EXIF_HEADER "Exif\0"
#define XMP_HEADER "http://ns.adobe.com/xap/1.0/"
#define EXTENSION_HEADER "http://ns.adobe.com/xmp/extension/"
enum {
  METADATA_MARKER = JPEG_APP0 + 1,
  MARKER_BYTES_MAX = 65533,
  EXIF_HEADER_BYTES = 6,
  SHARP_QUALITY = 90,
  TEXT_BYTES_MAX = 1 << 20,
  GUID_BYTES = 16, /* an MD5 */
  EXTENSION_HEAD_BYTES = sizeof EXTENSION_HEADER + 2 * GUID_BYTES + 4 + 4,
  PIECE_BYTES_MAX = 65400, /* as XMP part 3 has it */
};
_Static_assert(EXTENSION_HEAD_BYTES + PIECE_BYTES_MAX <= MARKER_BYTES_MAX, "a piece is a segment");

/* What is made on the way; setjmp comes back to who closes it. */
struct work {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr error;
  jmp_buf jump;
  unsigned char *file; /* libjpeg's, by malloc */
  unsigned long bytes;
  struct bytes exif, xmp; /* with their headers */
  struct bytes extension; /* what of the XMP is too large for a segment */
  struct bytes segment;   /* one piece of it */
  char guid[2 * GUID_BYTES + 1];
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
  if (content->length > 0) {
    jpeg_write_marker(jpeg, METADATA_MARKER, content->data, (unsigned)content->length);
  }
}

static enum status append32(struct bytes *out, size_t value) {
  uint8_t four[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                    (uint8_t)value};
  return bytes_append(out, four, sizeof four);
}

/* One piece of the extension: whose, how long all is, where this belongs, and the piece. */
static enum status make_segment(struct work *work, size_t at) {
  const struct bytes *all = &work->extension;
  size_t piece = all->length - at < PIECE_BYTES_MAX ? all->length - at : PIECE_BYTES_MAX;
  bytes_clear(&work->segment);
  TRY(bytes_append(&work->segment, EXTENSION_HEADER, sizeof EXTENSION_HEADER));
  TRY(bytes_append_text(&work->segment, work->guid));
  TRY(append32(&work->segment, all->length));
  TRY(append32(&work->segment, at));
  return bytes_append(&work->segment, all->data + at, piece);
}

static enum status put_extension(struct work *work) {
  for (size_t at = 0; at < work->extension.length; at += PIECE_BYTES_MAX) {
    TRY(make_segment(work, at));
    put_marker(&work->jpeg, &work->segment);
  }
  return OK;
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
  TRY(put_extension(work));
  while (jpeg->next_scanline < jpeg->image_height) {
    JSAMPROW row = image->pixels + (size_t)jpeg->next_scanline * image->width * 3;
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return OK;
}

/* Readers of infotext look at EXIF and know of no second segment: it must fit into the first. */
static enum status make_exif(struct work *work, const char *text) {
  TRY(bytes_append(&work->exif, EXIF_HEADER, EXIF_HEADER_BYTES));
  TRY(metadata_exif(text, &work->exif));
  return work->exif.length <= MARKER_BYTES_MAX
             ? OK
             : fail(BAD_INPUT, "jpeg: EXIF of %zu bytes, at most %d", work->exif.length,
                    MARKER_BYTES_MAX);
}

static enum status make_extended(struct work *work, const char *text) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  TRY(metadata_xmp_extension(text, &work->extension));
  if (EVP_Digest(work->extension.data, work->extension.length, digest, NULL, EVP_md5(), NULL) !=
      1) {
    return fail(BROKEN, "libcrypto has no MD5");
  }
  text_hex(digest, GUID_BYTES, work->guid);
  for (char *at = work->guid; *at != '\0'; at++) {
    *at = (char)toupper((unsigned char)*at);
  }
  work->xmp.length = sizeof XMP_HEADER;
  return metadata_xmp_pointer(work->guid, &work->xmp);
}

static enum status make_xmp(struct work *work, const char *text) {
  TRY(bytes_append(&work->xmp, XMP_HEADER, sizeof XMP_HEADER));
  TRY(metadata_xmp(text, &work->xmp));
  return work->xmp.length <= MARKER_BYTES_MAX ? OK : make_extended(work, text);
}

static enum status make_texts(struct work *work, const struct encode_texts *texts) {
  TRY(texts->infotext != NULL ? make_exif(work, texts->infotext) : OK);
  return texts->json != NULL ? make_xmp(work, texts->json) : OK;
}

enum status encode_jpeg(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out) {
  struct work *work = calloc(1, sizeof *work);
  if (work == NULL) {
    return fail(EXHAUSTED, "no memory for a JPEG");
  }
  bytes_open(&work->exif, TEXT_BYTES_MAX);
  bytes_open(&work->xmp, TEXT_BYTES_MAX);
  bytes_open(&work->extension, TEXT_BYTES_MAX);
  bytes_open(&work->segment, MARKER_BYTES_MAX);
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
  bytes_close(&work->extension);
  bytes_close(&work->segment);
  free(work);
  return status;
}
