/* picture.h - what any decode of a sample reads and writes. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_PICTURE_H
#define DARKROOM_WORKER_ENGINE_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/engine/sample.h"
#include "worker/model/model.h"

/* Bytes of a stage's picture, three a pixel. */
size_t picture_bytes(const struct stage *stage);
/* Whether a picture is of a single colour: what NaN and overflow look like after clamping. */
bool picture_is_flat(const uint8_t *rgb, const struct stage *stage);

/* Takes what a decoder wants from an arena of the device, the row first, and queues what the row
 * says of the sample: its latents times scale (model_decode_scale or tiny_vae_scale). */
enum status picture_places(struct device *device, struct arena *memory, const struct sample *sample,
                           float scale, struct decode *out);

#endif
