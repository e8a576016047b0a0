/* glimpses.c - latents of steps to colours, one pixel a cell. */
#include "worker/engine/glimpses.h"

#include <math.h>

#include "worker/engine/admission.h"
#include "worker/model/preview.h"

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
      wanted = wanted || recipe->stage[stage].resident == resident;
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

static enum status receive(struct engine *engine, struct sample *sample, struct flight *flight,
                           size_t *used, struct glimpse *out) {
  size_t bytes = tensor_bytes(&sample->latents);
  float *place = flight->latents + *used / sizeof(float);
  TRY(device_receive(engine->settings.device, &sample->latents, place, bytes));
  *out = (struct glimpse){place, sample_stage(sample), spread_of(sample_row(sample))};
  *used += bytes;
  sample->previewed = sample->steps + 1;
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
  for (int i = 0; i < batch->count; i++) {
    flight->glimpse[i] = (struct glimpse){0};
  }
  for (int i = longest_due(batch); i >= 0; i = longest_due(batch)) {
    if (tensor_bytes(&batch->samples[i]->latents) > flight->latent_bytes - used) {
      break; /* all of a batch are of one size */
    }
    TRY(receive(engine, batch->samples[i], flight, &used, &flight->glimpse[i]));
  }
  return OK;
}

/* ---- when it has landed ---- */

static void tell(struct engine *engine, const struct sample *sample,
                 const struct glimpse *glimpse) {
  const struct task *task = sample->task;
  const struct stage *stage = glimpse->stage;
  size_t cells = (size_t)stage_cells(stage), count = cells * (size_t)latent_channels(stage);
  static uint8_t pixels[PREVIEW_SIDE_PIXELS_MAX * PREVIEW_SIDE_PIXELS_MAX * 3];
  for (size_t i = 0; i < count; i++) {
    engine->room.values[i] = glimpse->latents[i] / glimpse->spread;
  }
  preview_pixels(&stage->resident->preview, engine->room.values, cells, pixels);
  const struct engine_picture picture = {.id = task->id,
                                         .fence = task->fence,
                                         .seed = task->seed + sample->index,
                                         .index = sample->index,
                                         .width = (uint32_t)stage->latent_width,
                                         .height = (uint32_t)stage->latent_height,
                                         .rgb = pixels};
  engine->listener.preview(engine->listener.context, &picture);
}

void glimpses_tell(struct engine *engine, const struct flight *flight) {
  for (int i = 0; engine->listener.preview != NULL && i < flight->count; i++) {
    const struct passenger *passenger = &flight->passenger[i];
    if (flight->glimpse[i].latents != NULL && passenger_here(passenger)) {
      tell(engine, passenger->sample, &flight->glimpse[i]);
    }
  }
}
