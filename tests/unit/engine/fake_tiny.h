/* fake_tiny.h - tiny decoders as a little arithmetic: what the fake model's decoder makes, with
 * red and green exchanged and a tone of its own. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_TINY_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_TINY_H

#include <math.h>
#include <stdlib.h>

#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/model.h"
#include "worker/model/tiny_vae.h"

struct tiny_vae {
  int tone; /* how much brighter: 10 for each letter of its folder's name */
};

enum status tiny_vae_open(struct device *device, const struct model_source *source,
                          const struct family *family, struct tiny_vae **out) {
  (void)device;
  if (strcmp(source->folder, "strange") == 0 || family->vae.latent_channels != 4) {
    return fail_field(BAD_INPUT, "tiny_decoder", "for other latents");
  }
  TRY(source->family == NULL ? OK : fail(BROKEN, "a tiny decoder's layout has no family"));
  struct tiny_vae *tiny = calloc(1, sizeof *tiny);
  tiny->tone = 10 * (int)strlen(source->folder);
  fake.tinies++;
  *out = tiny;
  return OK;
}
void tiny_vae_close(struct tiny_vae **tiny) {
  fake.tinies--;
  free(*tiny);
  *tiny = NULL;
}
float tiny_vae_scale(const struct tiny_vae *tiny) {
  (void)tiny;
  return 0.5f;
}
size_t tiny_vae_decode_bytes(const struct tiny_vae *tiny, int height, int width) {
  (void)tiny;
  return (size_t)(height * width) * (fake.tiny_bytes != 0 ? fake.tiny_bytes : 64);
}
enum status tiny_vae_decode(struct tiny_vae *tiny, struct arena *turn,
                            const struct decode *decode) {
  const struct tensor *pixels = &decode->pixels;
  int64_t factor = fake_factor(), width = pixels->shape[1];
  struct arena_mark mark = arena_mark(turn);
  size_t scratch =
      tiny_vae_decode_bytes(tiny, (int)(pixels->shape[0] / factor), (int)(width / factor));
  TRY(arena_take(turn, scratch) != NULL ? OK : EXHAUSTED);
  arena_release(turn, mark);
  fake.tiny_decoded++;
  fake.tiny_side = pixels->shape[0];
  TRY(fake.tiny_status == OK ? OK : fail(fake.tiny_status, "told to fail"));
  *(int32_t *)decode->finite.data = !fake.tiny_overflows;
  for (int64_t i = 0; i < tensor_count(pixels); i++) {
    int64_t y = i / 3 / width / factor, x = i / 3 % width / factor, channel = i % 3;
    float value = decode->row->latents[(y * (width / factor) + x) * 4 + (channel ^ 1) % 3];
    value = value * decode->row->scale * 80.0f + (float)tiny->tone;
    ((uint8_t *)pixels->data)[i] = (uint8_t)lrintf(fminf(fmaxf(value, 0.0f), 255.0f));
  }
  return OK;
}

#endif
