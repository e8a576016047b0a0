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
  preview->step = pixels->has_step ? pixels->step : held->step;
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

/* sharing a BEAT ------------------------------------------------------------------------------ */

/* The next of the job's fresh previews, going round by image; NULL: it has none. */
static struct preview *next_fresh(const struct held *held, uint32_t *index) {
  for (uint32_t i = 0; i < held->images; i++) {
    uint32_t image = (held->preview_turn + i) % held->images;
    if (held->picture[image].preview.fresh) {
      *index = image;
      return &held->picture[image].preview;
    }
  }
  return NULL;
}

static bool tell(struct arena *arena, const struct preview_turn *turn, struct preview *preview,
                 uint32_t index) {
  Darkroom__V1__Progress *row = turn->row;
  if (row->preview == NULL) {
    row->preview = arena_take(arena, turn->held->images * sizeof(void *));
  }
  Darkroom__V1__Preview *message = row->preview != NULL ? message_of(arena, preview, index) : NULL;
  if (message == NULL) {
    return false;
  }
  row->preview[row->n_preview++] = message;
  preview->fresh = false;
  turn->held->preview_turn = (index + 1) % turn->held->images;
  return true;
}

static size_t place_of(const struct worker *worker, const struct preview_turn *turn) {
  return (size_t)(turn->held - worker->held.row);
}

/* Where the last BEAT had no more room, or behind it. */
static size_t first_turn(const struct worker *worker, const struct preview_turn *turns,
                         size_t count) {
  size_t at = 0;
  while (at < count && place_of(worker, &turns[at]) < worker->preview_turn) {
    at++;
  }
  return at < count ? at : 0;
}

/* What finds no room is the first of the next BEAT, also where a smaller one would still fit: else
 * large ones would never be told. */
void previews_share(struct worker *worker, const struct preview_turn *turns, size_t count) {
  size_t at = first_turn(worker, turns, count);
  size_t bytes = 0;
  for (size_t without = 0; without < count; at = (at + 1) % count) {
    uint32_t index = 0;
    struct preview *preview = next_fresh(turns[at].held, &index);
    without = preview == NULL ? without + 1 : 0;
    if (preview == NULL) {
      continue;
    }
    bytes += preview->jpeg.length;
    if (bytes > BEAT_PREVIEW_BYTES_MAX || !tell(worker->scratch, &turns[at], preview, index)) {
      break;
    }
  }
  worker->preview_turn = count > 0 ? place_of(worker, &turns[at]) : 0;
}

bool previews_waiting(const struct held *held) {
  uint32_t index = 0;
  return next_fresh(held, &index) != NULL;
}
