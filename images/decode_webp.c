/* decode_webp.c - libwebp; of an animation the first picture. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include "images/decode_inside.h"
#include "images/orientation.h"

static void keep_orientation(WebPDemuxer *demux, struct encoded *file) {
  WebPChunkIterator chunk;
  if (WebPDemuxGetChunk(demux, "EXIF", 1, &chunk)) {
    file->orientation = orientation_of(chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
}

static enum status decode_frame(const WebPData *frame, struct image *image) {
  int width = 0;
  int height = 0;
  if (!WebPGetInfo(frame->bytes, frame->size, &width, &height)) {
    return fail(BAD_INPUT, "webp: the file is damaged");
  }
  TRY(decode_check_size((uint64_t)width, (uint64_t)height));
  TRY(image_open((uint32_t)width, (uint32_t)height, 3, image));
  bool read = WebPDecodeRGBInto(frame->bytes, frame->size, image->pixels, image_bytes(image),
                                width * 3) != NULL;
  return read ? OK : fail(BAD_INPUT, "webp: the file is damaged");
}

static enum status first_frame(WebPDemuxer *demux, struct image *image) {
  WebPIterator frame;
  TRY(decode_check_size(WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH),
                        WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT)));
  if (!WebPDemuxGetFrame(demux, 1, &frame)) {
    return fail(BAD_INPUT, "webp: the file has no picture");
  }
  enum status status = decode_frame(&frame.fragment, image);
  WebPDemuxReleaseIterator(&frame);
  return status;
}

enum status decode_webp(struct encoded *file, struct image *out) {
  WebPData data = {file->data, file->bytes};
  struct image image = {0};
  WebPDemuxer *demux = WebPDemux(&data);
  if (demux == NULL) {
    return fail(BAD_INPUT, "webp: the file is damaged");
  }
  keep_orientation(demux, file);
  enum status status = first_frame(demux, &image);
  WebPDemuxDelete(demux);
  if (status != OK) {
    image_close(&image);
    return status;
  }
  *out = image;
  return OK;
}
