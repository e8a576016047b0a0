/* residence.c - a plain list of opened models. */
#include "worker/engine/residence.h"

#include <string.h>

#include "monitoring/log.h"
#include "worker/model/control.h"
#include "worker/model/tiny_vae.h"

static enum status resident_open(struct arena *memory, struct device *device,
                                 const struct engine_model *source, struct resident *out) {
  TRY(arena_keep_text(memory, source->id, &out->id));
  TRY(arena_keep_text(memory, source->sha256, &out->sha256));
  out->levels = arena_take(memory, sizeof *out->levels);
  if (out->levels == NULL) {
    return EXHAUSTED;
  }
  if (source->on_demand) {
    TRY(model_source_keep(memory, &source->source, &out->source));
    TRY(model_outline(device, &out->source, &out->outline));
    out->bytes = model_bytes(out->outline);
    resident_move(out, NULL);
  } else {
    TRY(model_open(device, &source->source, &out->model));
  }
  out->facts = *model_family(out->model);
  out->family = &out->facts;
  out->max_side = JOB_SIDE_PIXELS_MAX; /* memory.c knows better */
  return noise_levels_make(&out->family->noise, out->levels);
}

enum status residence_open(struct arena *memory, struct device *device,
                           const struct engine_model *models, size_t count, struct residence *out) {
  struct residence *residence =
      out; /* rows point into themselves: they are filled in their place */
  *residence = (struct residence){0};
  if (count < 1 || count > MODELS_MAX) {
    return fail_field(BAD_INPUT, "models", "%zu models on a device are not in 1..%d", count,
                      MODELS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    if (residence_find(residence, models[i].id) != NULL) {
      residence_close(residence);
      return fail_field(BAD_INPUT, "models", "model %s is named twice", models[i].id);
    }
    enum status status = resident_open(memory, device, &models[i], &residence->rows[i]);
    residence->count = i + 1; /* what is half open is closed as well */
    if (status != OK) {
      residence_close(residence);
      return status;
    }
  }
  return OK;
}

/* The first model that it goes with says what it must be. NULL in *out: none. */
static enum status open_net(struct device *device, const struct model_source *source,
                            const struct residence *residence, struct control **out) {
  struct control *control = NULL;
  for (size_t i = 0; i < residence->count && control == NULL; i++) {
    enum status status = control_open(device, source, residence->rows[i].family, &control);
    bool other = status == BAD_INPUT && strcmp(fail_field_name(), "control") == 0;
    TRY(other ? OK : status);
  }
  *out = control;
  return OK;
}

enum status residence_open_nets(struct arena *memory, struct device *device,
                                const struct engine_extra *extras, size_t count,
                                struct residence *residence) {
  for (size_t i = 0; i < count; i++) {
    struct net net = {0};
    if (extras[i].kind != EXTRA_CONTROL) {
      continue;
    }
    if (residence->net_count == NETS_MAX) {
      return fail_field(BAD_INPUT, "models", "more than %d control nets on a device", NETS_MAX);
    }
    TRY(arena_keep_text(memory, extras[i].id, &net.id));
    TRY(open_net(device, &extras[i].source, residence, &net.control));
    if (net.control == NULL) {
      log_event("control_unused", log_text("control", net.id), log_text("reason", fail_reason()));
      continue;
    }
    residence->nets[residence->net_count++] = net;
  }
  return OK;
}

void residence_close(struct residence *residence) {
  for (size_t i = 0; i < residence->net_count; i++) {
    control_close(&residence->nets[i].control);
  }
  residence->net_count = 0;
  for (size_t i = 0; i < residence->tiny_count; i++) {
    tiny_vae_close(&residence->tinies[i].vae);
  }
  residence->tiny_count = 0;
  for (size_t i = 0; i < residence->count; i++) {
    struct resident *resident = &residence->rows[i];
    if (resident->model != resident->outline) {
      model_close(&resident->model);
    }
    model_close(&resident->outline);
  }
  residence->count = 0;
}

void resident_move(struct resident *resident, struct model *weights) {
  resident->model = weights != NULL ? weights : resident->outline;
  resident->presence = weights != NULL ? AT_HOME : AWAY;
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

void resident_info(const struct resident *resident, Darkroom__V1__ModelInfo *out) {
  *out = (Darkroom__V1__ModelInfo)DARKROOM__V1__MODEL_INFO__INIT;
  out->id = (char *)resident->id; /* packing only reads the texts */
  out->sha256 = (char *)resident->sha256;
  out->family = (char *)resident->family->row->name;
  out->has_default_side = out->has_max_side = 1;
  out->default_side = (uint32_t)resident_side(resident);
  out->max_side = (uint32_t)resident->max_side;
}
