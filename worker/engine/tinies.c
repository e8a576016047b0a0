/* tinies.c - which tiny decoder is whose. */
#include "worker/engine/tinies.h"

#include <stdio.h>
#include <string.h>

#include "monitoring/log.h"
#include "worker/model/tiny_vae.h"

/* ---- opening ---- */

static bool of_family(const struct tiny_decoder *tiny, const struct family *family) {
  return tiny->family == NULL || strcmp(tiny->family, family->row->name) == 0;
}

/* What tiny_vae_open has checked for the model that it was opened for goes for models alike. */
static bool alike(const struct family *a, const struct family *b) {
  return a->vae.latent_channels == b->vae.latent_channels && a->scale_factor == b->scale_factor;
}

/* Of another family by its config: no failure of this device. */
static enum status open_one(struct device *device, const struct engine_extra *extra,
                            const struct family *family, struct tiny_decoder *tiny) {
  struct model_source source = extra->source;
  source.family = NULL; /* whose latents it decodes: its own layout has none */
  enum status status = tiny_vae_open(device, &source, family, &tiny->vae);
  return status == BAD_INPUT && strcmp(fail_field_name(), "tiny_decoder") == 0 ? OK : status;
}

/* To every model that it goes with and that has none from a row before. */
static enum status give(struct device *device, const struct engine_extra *extra,
                        struct residence *residence, struct tiny_decoder *tiny) {
  const struct family *opened_for = NULL;
  for (size_t i = 0; i < residence->count; i++) {
    struct resident *resident = &residence->rows[i];
    if (resident->tiny != NULL || !of_family(tiny, resident->family)) {
      continue;
    }
    if (tiny->vae == NULL) {
      TRY(open_one(device, extra, resident->family, tiny));
      opened_for = resident->family;
    }
    if (tiny->vae != NULL && opened_for != NULL && alike(opened_for, resident->family)) {
      resident->tiny = tiny->vae;
    }
  }
  return OK;
}

enum status tinies_open(struct arena *memory, struct device *device,
                        const struct engine_extra *extras, size_t count,
                        struct residence *residence) {
  for (size_t i = 0; i < count; i++) {
    if (extras[i].kind != EXTRA_TINY) {
      continue;
    }
    if (residence->tiny_count == TINIES_MAX) {
      return fail_field(BAD_INPUT, "models", "more than %d tiny decoders on a device", TINIES_MAX);
    }
    struct tiny_decoder tiny = {0};
    TRY(arena_keep_text(memory, extras[i].id, &tiny.id));
    TRY(arena_keep_text(memory, extras[i].source.family, &tiny.family));
    TRY(give(device, &extras[i], residence, &tiny));
    if (tiny.vae == NULL) {
      log_event("tiny_decoder_unused", log_text("tiny_decoder", tiny.id),
                log_text("reason", "no model here goes with it and has none from a row before"));
      continue;
    }
    residence->tinies[residence->tiny_count++] = tiny;
  }
  return OK;
}

/* ---- for a job ---- */

static void list(const struct residence *residence, char *out, size_t room) {
  size_t used = 0;
  snprintf(out, room, "none");
  for (size_t i = 0; i < residence->tiny_count && used < room; i++) {
    const struct tiny_decoder *tiny = &residence->tinies[i];
    const char *family = tiny->family != NULL ? tiny->family : "any family";
    used += (size_t)snprintf(out + used, room - used, "%s%.48s (%s)", i > 0 ? ", " : "", tiny->id,
                             family);
  }
}

enum status tinies_find(const struct residence *residence, const struct resident *resident,
                        const char *field, struct refusal *why, struct tiny_vae **out) {
  if (resident->tiny == NULL) {
    char there[160];
    list(residence, there, sizeof there);
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, NULL,
                  "no tiny decoder on this device goes with model %.48s; there are: %s",
                  resident->id, there);
  }
  *out = resident->tiny;
  return OK;
}
