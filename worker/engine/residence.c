/* residence.c - a plain list of opened models. */
#include "worker/engine/residence.h"

#include <string.h>

static enum status resident_open(struct arena *memory, struct device *device,
                                 const struct engine_model *source, struct resident *out) {
  TRY(arena_keep_text(memory, source->id, &out->id));
  TRY(arena_keep_text(memory, source->sha256, &out->sha256));
  out->levels = arena_take(memory, sizeof *out->levels);
  if (out->levels == NULL) {
    return EXHAUSTED;
  }
  TRY(model_open(device, &source->source, &out->model));
  out->family = model_family(out->model);
  out->max_side = JOB_SIDE_PIXELS_MAX; /* memory.c knows better */
  return noise_levels_make(&out->family->noise, out->levels);
}

enum status residence_open(struct arena *memory, struct device *device,
                           const struct engine_model *models, size_t count, struct residence *out) {
  struct residence residence = {0};
  if (count < 1 || count > MODELS_MAX) {
    return fail_field(BAD_INPUT, "models", "%zu models on a device are not in 1..%d", count,
                      MODELS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    if (residence_find(&residence, models[i].id) != NULL) {
      residence_close(&residence);
      return fail_field(BAD_INPUT, "models", "model %s is named twice", models[i].id);
    }
    enum status status = resident_open(memory, device, &models[i], &residence.rows[i]);
    residence.count = i + 1; /* what is half open is closed as well */
    if (status != OK) {
      residence_close(&residence);
      return status;
    }
  }
  *out = residence;
  return OK;
}

void residence_close(struct residence *residence) {
  for (size_t i = 0; i < residence->count; i++) {
    model_close(&residence->rows[i].model);
  }
  residence->count = 0;
}

const struct resident *residence_find(const struct residence *residence, const char *id) {
  for (size_t i = 0; i < residence->count; i++) {
    if (strcmp(residence->rows[i].id, id) == 0) {
      return &residence->rows[i];
    }
  }
  return NULL;
}

int resident_side(const struct resident *resident) {
  return resident->family->unet.sample_side * resident->family->scale_factor;
}

int resident_multiple(const struct resident *resident) {
  int scale = resident->family->scale_factor;
  return scale > JOB_SIDE_PIXELS_MULTIPLE ? scale : JOB_SIDE_PIXELS_MULTIPLE;
}
