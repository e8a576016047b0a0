/* decode_webp.c - libwebp; of an animation the first picture, which may cover a part of the canvas:
 * around it nothing was drawn, which is black once transparency is left off, as Pillow has it. */
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

/* What the file says of the frame is held to what the frame itself says. */
static bool fits(const WebPIterator *frame, const struct image *canvas) {
  int width = 0;
  int height = 0;
  const WebPData *data = &frame->fragment;
  return WebPGetInfo(data->bytes, data->size, &width, &height) && width == frame->width &&
         height == frame->height && frame->x_offset >= 0 && frame->y_offset >= 0 &&
         (int64_t)frame->x_offset + width <= canvas->width &&
         (int64_t)frame->y_offset + height <= canvas->height;
}

static enum status decode_frame(const WebPIterator *frame, struct image *canvas) {
  if (!fits(frame, canvas)) {
    return fail(BAD_INPUT, "webp: the file is damaged");
  }
  size_t stride = (size_t)canvas->width * 3;
  size_t begin = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
  const WebPData *data = &frame->fragment;
  bool read = WebPDecodeRGBInto(data->bytes, data->size, canvas->pixels + begin,
                                image_bytes(canvas) - begin, (int)stride) != NULL;
  return read ? OK : fail(BAD_INPUT, "webp: the file is damaged");
}

static enum status first_frame(WebPDemuxer *demux, struct image *image) {
  WebPIterator frame;
  uint32_t width = WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH);
  uint32_t height = WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT);
  TRY(decode_check_size(width, height));
  if (!WebPDemuxGetFrame(demux, 1, &frame)) {
    return fail(BAD_INPUT, "webp: the file has no picture");
  }
  enum status status = image_open(width, height, 3, image);
  status = status == OK ? decode_frame(&frame, image) : status;
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
