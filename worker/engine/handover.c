/* handover.c - the next stage's first numbers from what the stage before has made. */
#include "worker/engine/handover.h"

#include <string.h>

#include "images/resize.h"
#include "worker/engine/admission.h"
#include "worker/engine/beginning.h"

/* ---- latents ---- */

/* Where a place of the new side lies between two of the old one. */
struct between {
  int first, second;
  float part; /* of the second */
};

static struct between between_of(int place, int from, int to) {
  float at = ((float)place + 0.5f) * ((float)from / (float)to) - 0.5f;
  at = at > 0.0f ? at : 0.0f;
  int first = (int)at < from - 1 ? (int)at : from - 1;
  return (struct between){first, first + 1 < from ? first + 1 : first, at - (float)first};
}

void grid_resize(const struct grid *from, const float *values, const struct grid *to, float *out) {
  for (int y = 0; y < to->height; y++) {
    struct between row = between_of(y, from->height, to->height);
    const float *above = values + (ptrdiff_t)row.first * from->width * from->channels;
    const float *below = values + (ptrdiff_t)row.second * from->width * from->channels;
    for (int x = 0; x < to->width; x++) {
      struct between column = between_of(x, from->width, to->width);
      ptrdiff_t left = (ptrdiff_t)column.first * from->channels;
      ptrdiff_t right = (ptrdiff_t)column.second * from->channels;
      for (int c = 0; c < from->channels; c++) {
        float top = (1 - column.part) * above[left + c] + column.part * above[right + c];
        float bottom = (1 - column.part) * below[left + c] + column.part * below[right + c];
        *out++ = (1 - row.part) * top + row.part * bottom;
      }
    }
  }
}

static struct grid grid_of(const struct stage *stage) {
  return (struct grid){stage->latent_height, stage->latent_width, latent_channels(stage)};
}

enum status handover_run(struct engine *engine, struct sample *sample, struct flight *flight) {
  return device_receive(engine->settings.device, &sample->latents, flight->rgb,
                        tensor_bytes(&sample->latents));
}

static enum status begin_next(struct engine *engine, struct sample *sample, const float *latents) {
  const struct stage *stage = sample_stage(sample);
  struct grid from = grid_of(stage), to = grid_of(&stage[1]);
  grid_resize(&from, latents, &to, engine->room.clean);
  TRY(sample_enter(sample, sample->stage + 1));
  return sample_begin(sample, engine->settings.device, &engine->room,
                      &(struct beginning){.kind = BEGINNING_IMAGE, .latents = engine->room.clean});
}

enum status handover_read(struct engine *engine, struct sample *sample, struct flight *flight,
                          uint64_t took_us) {
  (void)took_us;
  const float *latents = (const float *)(const void *)flight->rgb; /* pinned: aligned for any */
  enum status status = begin_next(engine, sample, latents);
  return status == OK || status == BROKEN ? status : task_fail_queued(engine, sample->task, status);
}

/* ---- pixels ---- */

static enum status enlarge(const struct stage *stage, const uint8_t *rgb, uint8_t *out) {
  const struct image small = {.width = (uint32_t)stage->width,
                              .height = (uint32_t)stage->height,
                              .channels = 3,
                              .pixels = (uint8_t *)rgb}; /* only read */
  struct image large = {0};
  TRY(image_resize(&small, (uint32_t)stage[1].width, (uint32_t)stage[1].height, FILTER_LANCZOS,
                   &large));
  memcpy(out, large.pixels, image_bytes(&large));
  image_close(&large);
  return OK;
}

enum status handover_picture(struct engine *engine, struct sample *sample, const uint8_t *rgb) {
  enum status status = enlarge(sample_stage(sample), rgb, sample->picture);
  status = status == OK ? sample_enter(sample, sample->stage + 1) : status;
  if (status != OK) {
    return status == BROKEN ? BROKEN : task_fail_queued(engine, sample->task, status);
  }
  sample->encode = ENCODE_IMAGE;
  sample_moved(sample);
  return OK;
}
