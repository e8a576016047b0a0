/* picture.c - places of a decode, always in the same order: a sequence is known by the first. */
#include "worker/engine/picture.h"

#include <string.h>

size_t picture_bytes(const struct stage *stage) {
  return (size_t)stage->width * (size_t)stage->height * 3;
}

bool picture_is_flat(const uint8_t *rgb, const struct stage *stage) {
  size_t bytes = picture_bytes(stage);
  return bytes > 3 && memcmp(rgb, rgb + 3, bytes - 3) == 0;
}

enum status picture_places(struct device *device, struct arena *memory, const struct sample *sample,
                           float scale, struct decode *out) {
  const struct stage *stage = sample_stage(sample);
  const struct batch_row row = {.latents = sample->latents.data, .scale = scale};
  struct tensor told;
  struct decode decode;
  TRY(tensor_take(memory, ELEMENT_U8, TENSOR_SHAPE((int64_t)sizeof row), &told));
  TRY(tensor_take(memory, ELEMENT_I32, TENSOR_SHAPE(1), &decode.finite));
  TRY(tensor_take(memory, ELEMENT_U8, TENSOR_SHAPE(stage->height, stage->width, 3),
                  &decode.pixels));
  TRY(device_put(device, &row, sizeof row, &told));
  decode.row = told.data;
  *out = decode;
  return OK;
}
