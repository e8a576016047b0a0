/* glimpses.c - latents of steps to colours, one pixel a cell, or to a tiny decoder's pictures. */
#include "worker/engine/glimpses.h"

#include <math.h>

#include "images/resize.h"
#include "monitoring/log.h"
#include "worker/engine/admission.h"
#include "worker/engine/memory.h"
#include "worker/engine/picture.h"
#include "worker/model/preview.h"
#include "worker/model/tiny_vae.h"

/* A tiny decoder's pictures behind one turn: together less work than a row of it. */
#define TINY_OF_A_TURN 4

/* ---- once a model ---- */

static enum status learn(struct engine *engine, struct resident *resident) {
  size_t bytes = model_preview_bytes(resident->model);
  struct arena *scratch = NULL;
  TRY(conditionings_make_room(engine->conditionings, bytes));
  enum status status = device_arena(engine->settings.device, bytes, &scratch);
  status = status == OK ? model_preview(resident->model, scratch, &resident->preview) : status;
  resident->previews = status == OK;
  arena_close(&scratch);
  budget_give(&engine->budget, bytes);
  return status;
}

enum status glimpses_prepare(struct engine *engine, const struct recipe *recipe) {
  for (size_t i = 0; recipe->preview_every > 0 && i < engine->residence.count; i++) {
    struct resident *resident = &engine->residence.rows[i];
    bool wanted = false;
    for (int stage = 0; stage < recipe->stages; stage++) {
      const struct stage *one = &recipe->stage[stage];
      wanted = wanted || (one->resident == resident && one->previewer == NULL);
    }
    if (wanted && !resident->previews) {
      TRY(learn(engine, resident));
    }
  }
  return OK;
}

/* ---- with a turn ---- */

/* Latents as noisy as they are after a row have the spread of clean ones when divided by this. */
static float spread_of(const struct plan_row *row) {
  return sqrtf(row->keep_clean * row->keep_clean + row->keep_begun * row->keep_begun);
}

/* With the row at the cursor a step ends, and it is the image's next to be shown. The last one's
 * picture, or another size, is about to come itself. */
static bool is_due(const struct sample *sample) {
  const struct plan *plan = &sample_stage(sample)->plan;
  uint32_t every = sample->task->recipe->preview_every;
  int next = sample->cursor + 1;
  return every > 0 && next < plan->rows && plan->row[next].step != plan->row[sample->cursor].step &&
         sample->steps + 1 - sample->previewed >= every;
}

static size_t glimpse_bytes(const struct sample *sample) {
  const struct stage *stage = sample_stage(sample);
  return stage->previewer != NULL ? picture_bytes(stage) : tensor_bytes(&sample->latents);
}

static enum status receive_latents(struct engine *engine, struct sample *sample, float *place,
                                   struct glimpse *out) {
  *out = (struct glimpse){
      .latents = place, .stage = sample_stage(sample), .spread = spread_of(sample_row(sample))};
  return device_receive(engine->settings.device, &sample->latents, place,
                        tensor_bytes(&sample->latents));
}

/* In the scratch of the batch, which is behind in the same queue. */
static enum status decode(struct engine *engine, struct sample *sample, uint8_t *place) {
  struct device *device = engine->settings.device;
  struct arena *scratch = scratch_of(engine, QUEUE_STEPS);
  struct tiny_vae *tiny = sample_stage(sample)->previewer;
  float scale = tiny_vae_scale(tiny) / spread_of(sample_row(sample));
  struct decode decode;
  TRY(picture_places(device, scratch, sample, scale, &decode));
  TRY(tiny_vae_decode(tiny, scratch, &decode));
  return device_receive(device, &decode.pixels, place, tensor_bytes(&decode.pixels));
}

/* The turn itself is queued and goes on, whatever a preview finds no memory for. */
static enum status receive_picture(struct engine *engine, struct sample *sample, uint8_t *place,
                                   struct glimpse *out) {
  struct arena *scratch = scratch_of(engine, QUEUE_STEPS);
  struct arena_mark mark = arena_mark(scratch);
  enum status status = decode(engine, sample, place);
  arena_release(scratch, mark);
  if (status == EXHAUSTED) {
    log_warning("preview_lost", log_text("job", sample->task->id),
                log_text("reason", fail_reason()));
    return OK;
  }
  *out = (struct glimpse){.rgb = place, .stage = sample_stage(sample)};
  return status;
}

static enum status receive(struct engine *engine, struct sample *sample, void *place,
                           struct glimpse *out) {
  TRY(sample_stage(sample)->previewer != NULL ? receive_picture(engine, sample, place, out)
                                              : receive_latents(engine, sample, place, out));
  out->step = sample->previewed = sample->steps + 1;
  return OK;
}

/* Whose last one is longest ago, so that nobody is never shown; -1: nobody is due. */
static int longest_due(const struct batch *batch) {
  int longest = -1;
  for (int i = 0; i < batch->count; i++) {
    const struct sample *sample = batch->samples[i];
    uint32_t since = sample->steps - sample->previewed;
    bool longer =
        longest < 0 || since > batch->samples[longest]->steps - batch->samples[longest]->previewed;
    longest = is_due(sample) && longer ? i : longest;
  }
  return longest;
}

enum status glimpses_receive(struct engine *engine, const struct batch *batch,
                             struct flight *flight) {
  size_t used = 0;
  int pictures = 0;
  for (int i = 0; i < batch->count; i++) {
    flight->glimpse[i] = (struct glimpse){0};
  }
  for (int i = longest_due(batch); i >= 0; i = longest_due(batch)) {
    struct sample *sample = batch->samples[i];
    size_t bytes = glimpse_bytes(sample);
    pictures += sample_stage(sample)->previewer != NULL;
    if (bytes > flight->latent_bytes - used || pictures > TINY_OF_A_TURN) {
      break; /* it is the first of the next turn */
    }
    TRY(receive(engine, sample, (uint8_t *)flight->latents + used, &flight->glimpse[i]));
    used += bytes;
  }
  return OK;
}

/* ---- when it has landed ---- */

static void tell(struct engine *engine, const struct sample *sample, uint32_t step,
                 const struct image *image) {
  const struct task *task = sample->task;
  const struct engine_picture picture = {.id = task->id,
                                         .fence = task->fence,
                                         .seed = task->seed + sample->index,
                                         .index = sample->index,
                                         .step = step,
                                         .width = image->width,
                                         .height = image->height,
                                         .rgb = image->pixels};
  engine->listener.preview(engine->listener.context, &picture);
}

static void tell_latents(struct engine *engine, const struct sample *sample,
                         const struct glimpse *glimpse) {
  const struct stage *stage = glimpse->stage;
  size_t cells = (size_t)stage_cells(stage), count = cells * (size_t)latent_channels(stage);
  static uint8_t pixels[PREVIEW_SIDE_PIXELS_MAX * PREVIEW_SIDE_PIXELS_MAX * 3];
  for (size_t i = 0; i < count; i++) {
    engine->room.values[i] = glimpse->latents[i] / glimpse->spread;
  }
  preview_pixels(&stage->resident->preview, engine->room.values, cells, pixels);
  tell(engine, sample, glimpse->step,
       &(struct image){(uint32_t)stage->latent_width, (uint32_t)stage->latent_height, 3, pixels});
}

/* Its longer side has as many pixels as a preview may have, or its own where these are fewer. */
static uint32_t side_of(int side, const struct stage *stage) {
  int longer = stage->width > stage->height ? stage->width : stage->height;
  int small = longer > PREVIEW_SIDE_PIXELS_MAX ? side * PREVIEW_SIDE_PIXELS_MAX / longer : side;
  return small > 1 ? (uint32_t)small : 1;
}

/* One of a single colour shows nothing: what is wrong is told by the job itself, at its end. */
static void tell_picture(struct engine *engine, const struct sample *sample,
                         const struct glimpse *glimpse) {
  const struct stage *stage = glimpse->stage;
  const struct image whole = {(uint32_t)stage->width, (uint32_t)stage->height, 3,
                              (uint8_t *)glimpse->rgb}; /* only read */
  struct image small = {0};
  if (picture_is_flat(glimpse->rgb, stage)) {
    return;
  }
  if (image_resize(&whole, side_of(stage->width, stage), side_of(stage->height, stage),
                   FILTER_LANCZOS, &small) != OK) {
    log_warning("preview_lost", log_text("job", sample->task->id),
                log_text("reason", fail_reason()));
    return;
  }
  tell(engine, sample, glimpse->step, &small);
  image_close(&small);
}

void glimpses_tell(struct engine *engine, const struct flight *flight) {
  for (int i = 0; engine->listener.preview != NULL && i < flight->count; i++) {
    const struct passenger *passenger = &flight->passenger[i];
    const struct glimpse *glimpse = &flight->glimpse[i];
    if (glimpse->latents != NULL && passenger_here(passenger)) {
      tell_latents(engine, passenger->sample, glimpse);
    }
    if (glimpse->rgb != NULL && passenger_here(passenger)) {
      tell_picture(engine, passenger->sample, glimpse);
    }
  }
}
