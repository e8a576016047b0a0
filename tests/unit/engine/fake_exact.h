/* fake_exact.h - the fake model's second look at a picture, and its first at one on its way. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_EXACT_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_EXACT_H

#include <math.h>

#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/model.h"
#include "worker/model/preview.h"

bool model_decodes_exactly(const struct model *model) {
  (void)model;
  return !fake.overflows;
}

enum status model_decode_exact(struct model *model, struct arena *turn,
                               const struct decode *decode) {
  fake.exact++;
  TRY(fake.exact_status == OK ? OK : fail(fake.exact_status, "told to fail"));
  TRY(model_decode(model, turn, decode));
  *(int32_t *)decode->finite.data = 1;
  return OK;
}

size_t model_decode_exact_bytes(const struct model *model, int height, int width) {
  return model_decode_bytes(model, height, width);
}

/* Colours: the first three channels as a decode shows them. */
enum status model_preview(struct model *model, struct arena *turn, struct preview *out) {
  (void)model;
  fake.previews++;
  TRY(arena_take(turn, 4096) != NULL ? OK : EXHAUSTED);
  *out = (struct preview){.channels = 4};
  return OK;
}
size_t model_preview_bytes(const struct model *model) {
  (void)model;
  return 4096;
}
void preview_pixels(const struct preview *preview, const float *latents, size_t cells,
                    uint8_t *pixels) {
  for (size_t i = 0; i < cells * 3; i++) {
    float value = latents[i / 3 * (size_t)preview->channels + i % 3] * 40.0f + 128.0f;
    pixels[i] = (uint8_t)lrintf(fminf(fmaxf(value, 0.0f), 255.0f));
  }
}

/* The first pixel of each cell, and a little of the noise. */
bool model_encodes(const struct model *model) {
  (void)model;
  return !fake.blind;
}
size_t model_encode_bytes(const struct model *model, int height, int width) {
  (void)model;
  return (size_t)(height * width) * (fake.encode_bytes != 0 ? fake.encode_bytes : 64);
}
static inline enum status fake_encode(const struct encode *encode) {
  int64_t width = encode->latents.shape[1], side = encode->image.shape[1];
  float *y = encode->latents.data;
  const float *image = encode->image.data, *noise = encode->noise.data;
  fake.encoded++;
  for (int64_t i = 0; i < tensor_count(&encode->latents); i++) {
    int64_t row = i / 4 / width * 8, column = i / 4 % width * 8;
    y[i] = image[(row * side + column) * 3 + i % 4 % 3] + 0.01f * noise[i];
    y[i] = fake.encode_overflows ? INFINITY : y[i];
  }
  return OK;
}
enum status model_encode(struct model *model, struct arena *turn, const struct encode *encode) {
  (void)model;
  clock_move(fake.encode_ms);
  TRY(arena_take(turn, 64) != NULL ? OK : EXHAUSTED);
  return fake_encode(encode);
}

size_t model_exact_weight_bytes(const struct model *model) { return model_bytes(model); }

#endif
