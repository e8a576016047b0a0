/* encode_webp.c - libwebp, lossy, with EXIF and XMP beside the picture. */
#include <stdbool.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "images/encode_inside.h"
#include "images/metadata.h"

enum { TEXT_BYTES_MAX = 1 << 20 };

static enum status broken(void) { return fail(EXHAUSTED, "webp: the file cannot be put together"); }

static enum status add_chunk(WebPMux *mux, const char *name, const char *text,
                             enum status (*make)(const char *text, struct bytes *out)) {
  if (text == NULL) {
    return OK;
  }
  struct bytes content;
  bytes_open(&content, TEXT_BYTES_MAX);
  enum status status = make(text, &content);
  WebPData data = {content.data, content.length};
  if (status == OK && WebPMuxSetChunk(mux, name, &data, 1) != WEBP_MUX_OK) {
    status = broken();
  }
  bytes_close(&content);
  return status;
}

static enum status assemble(WebPMux *mux, const struct encode_texts *texts, struct bytes *out) {
  WebPData file = {0};
  TRY(add_chunk(mux, "EXIF", texts->infotext, metadata_exif));
  TRY(add_chunk(mux, "XMP ", texts->json, metadata_xmp));
  if (WebPMuxAssemble(mux, &file) != WEBP_MUX_OK) {
    return broken();
  }
  enum status status = bytes_append(out, file.bytes, file.size);
  WebPDataClear(&file);
  return status;
}

static enum status encode_pixels(const struct image *image, int quality, WebPMemoryWriter *writer) {
  WebPConfig config;
  WebPPicture picture;
  if (!WebPConfigPreset(&config, WEBP_PRESET_PICTURE, (float)quality) ||
      !WebPPictureInit(&picture)) {
    return fail(BROKEN, "webp: another version of the library than this was built for");
  }
  picture.width = (int)image->width;
  picture.height = (int)image->height;
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = writer;
  bool done = WebPPictureImportRGB(&picture, image->pixels, (int)image->width * 3) &&
              WebPEncode(&config, &picture);
  int error = (int)picture.error_code;
  WebPPictureFree(&picture);
  return done ? OK : fail(EXHAUSTED, "webp: error %d", error);
}

enum status encode_webp(const struct image *image, int quality, const struct encode_texts *texts,
                        struct bytes *out) {
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  WebPMux *mux = WebPMuxNew();
  enum status status = mux != NULL ? encode_pixels(image, quality, &writer) : broken();
  WebPData data = {writer.mem, writer.size};
  if (status == OK && WebPMuxSetImage(mux, &data, 0) != WEBP_MUX_OK) {
    status = broken();
  }
  status = status == OK ? assemble(mux, texts, out) : status;
  WebPMuxDelete(mux);
  WebPMemoryWriterClear(&writer);
  return status;
}
