/* masks.h - where a picture may change, as numbers. A mask has a byte a pixel of the stage's size,
 * 255 where it may. For latents it is asked at the first pixel of each cell, as diffusers' nearest
 * neighbour does; what lies between 0 and 255 blends. A model that is told of a mask is told yes
 * from the middle on and no below, and sees the picture without what the mask covers. */
#ifndef DARKROOM_WORKER_ENGINE_MASKS_H
#define DARKROOM_WORKER_ENGINE_MASKS_H

#include "worker/engine/sample.h"

/* Puts the mask of the sample's recipe into sample->mask, 0 to 1. */
enum status masks_put(struct sample *sample, struct device *device,
                      const struct drawing_room *room);
/* Puts [mask, masked latents] into sample->planes, from the latents [H, W, C] of the picture
 * without what the mask covers. */
enum status masks_put_planes(struct sample *sample, struct device *device,
                             const struct drawing_room *room, const float *latents);
/* Whether a model is told yes there. */
bool mask_covers(uint8_t value);

#endif
