/* previews.c - at most PREVIEW_BYTES_MAX each: the loop encodes them itself, they have 256 pixels
 * on a side. */
#include "worker/previews.h"

#include "images/encode.h"
#include "monitoring/log.h"

enum { PREVIEW_QUALITY = 75 };

void preview_received(struct worker *worker, struct held *held,
                      const Darkroom__Pipe__Pixels *pixels) {
  (void)worker;
  static const struct encode_texts no_texts;
  struct preview *preview = &held->picture[pixels->index].preview;
  struct image image = {pixels->width, pixels->height, 3, pixels->rgb.data};
  bool sane = image.width > 0 && image.width <= PREVIEW_SIDE_PIXELS_MAX && image.height > 0 &&
              image.height <= PREVIEW_SIDE_PIXELS_MAX && pixels->rgb.len == image_bytes(&image);
  bytes_clear(&preview->jpeg);
  preview->fresh = false;
  if (!sane ||
      image_encode(&image, ENCODING_JPEG, PREVIEW_QUALITY, &no_texts, &preview->jpeg) != OK) {
    log_debug("preview_left_out", log_text("job", held->id), log_count("index", pixels->index),
              log_text("reason", sane ? fail_reason() : "its size"));
    return;
  }
  preview->fresh = held->news = true;
  preview->step = held->step;
  preview->width = image.width;
  preview->height = image.height;
}

static Darkroom__V1__Preview *message_of(struct arena *arena, const struct preview *preview,
                                         uint32_t index) {
  Darkroom__V1__Preview *message = arena_take(arena, sizeof *message);
  if (message != NULL) {
    darkroom__v1__preview__init(message);
    message->has_index = message->has_step = message->has_width = message->has_height = 1;
    message->has_jpeg = 1;
    message->index = index;
    message->step = preview->step;
    message->width = preview->width;
    message->height = preview->height;
    message->jpeg.data = preview->jpeg.data;
    message->jpeg.len = preview->jpeg.length;
  }
  return message;
}

size_t previews_tell(struct arena *arena, struct held *held, size_t *used,
                     Darkroom__V1__Preview ***out) {
  Darkroom__V1__Preview **list = arena_take(arena, held->images * sizeof *list);
  size_t count = 0;
  for (uint32_t i = 0; list != NULL && i < held->images; i++) {
    struct preview *preview = &held->picture[i].preview;
    bool room = *used + preview->jpeg.length <= BEAT_PREVIEW_BYTES_MAX;
    Darkroom__V1__Preview *message = preview->fresh && room ? message_of(arena, preview, i) : NULL;
    if (message != NULL) {
      list[count++] = message;
      *used += preview->jpeg.length;
      preview->fresh = false;
    }
  }
  *out = list;
  return count;
}

bool previews_waiting(const struct held *held) {
  for (uint32_t i = 0; i < held->images; i++) {
    if (held->picture[i].preview.fresh) {
      return true;
    }
  }
  return false;
}
