/* device_rows.h - rows of a batch put on a device by hand, for tests and benches that call a model
 * without an engine. */
#ifndef DARKROOM_TESTS_CASES_DEVICE_ROWS_H
#define DARKROOM_TESTS_CASES_DEVICE_ROWS_H

#include <string.h>

#include "worker/model/model.h"

/* Copies rows into memory of the arena's; the pointer is the device's. */
static inline enum status device_rows(struct device *device, struct arena *keep,
                                      const struct batch_row *rows, size_t count,
                                      const struct batch_row **out) {
  struct tensor room;
  size_t bytes = count * sizeof *rows;
  TRY(tensor_take(keep, ELEMENT_U8, TENSOR_SHAPE((int64_t)bytes), &room));
  TRY(device_put(device, rows, bytes, &room));
  *out = room.data;
  return OK;
}

/* Rows for a U-Net call: a timestep and a prompt each. */
static inline enum status device_prompt_rows(struct device *device, struct arena *keep,
                                             const float *timesteps,
                                             const struct conditioning *const *conditionings,
                                             int count, const struct batch_row **out) {
  struct batch_row rows[BATCH_ROWS_MAX];
  memset(rows, 0, sizeof rows);
  for (int i = 0; i < count; i++) {
    rows[i].timestep = timesteps[i];
    model_context(conditionings[i], &rows[i]);
  }
  return device_rows(device, keep, rows, (size_t)count, out);
}

/* What model_decode wants of latents [H, W, C]; pixels are the caller's. */
static inline enum status device_decode(struct device *device, struct arena *keep,
                                        const struct model *model, const struct tensor *latents,
                                        const struct tensor *pixels, struct decode *out) {
  const struct batch_row row = {.latents = latents->data, .scale = model_decode_scale(model)};
  out->pixels = *pixels;
  TRY(tensor_take(keep, ELEMENT_I32, TENSOR_SHAPE(1), &out->finite));
  return device_rows(device, keep, &row, 1, &out->row);
}

#endif
