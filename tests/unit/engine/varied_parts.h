/* varied_parts.h - what a job may ask for beside a prompt: a refiner, a second pass, adapters,
 * words, an image and a mask. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_VARIED_PARTS_H
#define DARKROOM_TESTS_UNIT_ENGINE_VARIED_PARTS_H

#include <string.h>

#include "proto/darkroom.pb-c.h"
#include "worker/engine/engine.h"

/* A job and what it points to. */
struct varied {
  char id[32];
  Darkroom__V1__Job job;
  Darkroom__V1__Refiner refiner;
  Darkroom__V1__Upscale upscale;
  Darkroom__V1__Blob blob;
  Darkroom__V1__Control control[2];
  Darkroom__V1__Control *controls[2];
  Darkroom__V1__Adapter adapter[2];
  Darkroom__V1__Adapter *adapters[2];
  Darkroom__V1__Embedding embedding;
  Darkroom__V1__Embedding *embeddings[1];
  struct engine_input input[6];
  struct engine_inputs inputs;
};

/* What a job brings. */
static inline void varied_bring(struct varied *one, struct engine_input input) {
  one->input[one->inputs.count++] = input;
  one->inputs.input = one->input;
}

enum { VARIED_SIDE = 64 };

/* An image to begin from, and with `masked` 0..255 a mask: at the left nothing, that on the right.
 */
static inline void varied_picture(struct varied *one, double strength, int masked) {
  static uint8_t rgb[VARIED_SIDE * VARIED_SIDE * 3], masks[256][VARIED_SIDE * VARIED_SIDE];
  for (int i = 0; i < VARIED_SIDE * VARIED_SIDE; i++) {
    rgb[3 * i] = (uint8_t)(4 * (i % VARIED_SIDE));
    rgb[3 * i + 1] = (uint8_t)(4 * (i / VARIED_SIDE));
    rgb[3 * i + 2] = 90;
    if (masked >= 0) {
      masks[masked][i] = i % VARIED_SIDE < VARIED_SIDE / 2 ? 0 : (uint8_t)masked;
    }
  }
  one->blob = (Darkroom__V1__Blob)DARKROOM__V1__BLOB__INIT;
  one->job.image = &one->blob;
  one->job.has_strength = 1;
  one->job.strength = strength;
  varied_bring(one,
               (struct engine_input){INPUT_IMAGE, 0, VARIED_SIDE, VARIED_SIDE, 3, rgb, sizeof rgb});
  if (masked >= 0) {
    one->job.mask = &one->blob;
    varied_bring(one, (struct engine_input){INPUT_MASK, 0, VARIED_SIDE, VARIED_SIDE, 1,
                                            masks[masked], sizeof masks[masked]});
  }
}

/* One more control net, from `start` to `end`. */
static inline void varied_control(struct varied *one, const char *net, double start, double end) {
  static uint8_t rgb[VARIED_SIDE * VARIED_SIDE * 3];
  size_t i = one->job.n_control++;
  for (int k = 0; k < VARIED_SIDE * VARIED_SIDE * 3; k++) {
    rgb[k] = (uint8_t)(k / 11);
  }
  one->control[i] = (Darkroom__V1__Control)DARKROOM__V1__CONTROL__INIT;
  one->control[i].model = (char *)net;
  one->control[i].start = start;
  one->control[i].end = end;
  one->controls[i] = &one->control[i];
  one->job.control = one->controls;
  varied_bring(one, (struct engine_input){INPUT_CONTROL, (uint32_t)i, VARIED_SIDE, VARIED_SIDE, 3,
                                          rgb, sizeof rgb});
}

/* One more adapter, whose file is that text. */
static inline void varied_adapt(struct varied *one, const char *file, double weight) {
  size_t i = one->job.n_adapter++;
  one->blob = (Darkroom__V1__Blob)DARKROOM__V1__BLOB__INIT;
  one->adapter[i] = (Darkroom__V1__Adapter)DARKROOM__V1__ADAPTER__INIT;
  one->adapter[i].blob = &one->blob;
  one->adapter[i].weight = weight;
  one->adapters[i] = &one->adapter[i];
  one->job.adapter = one->adapters;
  varied_bring(one, (struct engine_input){.kind = INPUT_ADAPTER,
                                          .index = (uint32_t)i,
                                          .data = (const uint8_t *)file,
                                          .bytes = strlen(file)});
}

static inline void varied_word(struct varied *one, const char *token, const char *file) {
  one->blob = (Darkroom__V1__Blob)DARKROOM__V1__BLOB__INIT;
  one->embedding = (Darkroom__V1__Embedding)DARKROOM__V1__EMBEDDING__INIT;
  one->embedding.token = (char *)token;
  one->embedding.blob = &one->blob;
  one->embeddings[0] = &one->embedding;
  one->job.embedding = one->embeddings;
  one->job.n_embedding = 1;
  varied_bring(one,
               (struct engine_input){
                   .kind = INPUT_EMBEDDING, .data = (const uint8_t *)file, .bytes = strlen(file)});
}

static inline void varied_refine(struct varied *one, const char *model, double start) {
  one->refiner = (Darkroom__V1__Refiner)DARKROOM__V1__REFINER__INIT;
  one->refiner.model = (char *)model;
  one->refiner.start = start;
  one->job.refiner = &one->refiner;
}

static inline void varied_upscale(struct varied *one, Darkroom__V1__UpscaleKind kind, uint32_t side,
                                  double strength) {
  one->upscale = (Darkroom__V1__Upscale)DARKROOM__V1__UPSCALE__INIT;
  one->upscale.has_kind = one->upscale.has_width = one->upscale.has_height = 1;
  one->upscale.kind = kind;
  one->upscale.width = one->upscale.height = side;
  one->upscale.strength = strength;
  one->job.upscale = &one->upscale;
}

#endif
