/* masks.c - bytes of pixels to numbers of cells. */
#include "worker/engine/masks.h"

#define MIDDLE 128 /* of a byte: diffusers' 0.5 of 255, where no byte lies between */

bool mask_covers(uint8_t value) { return value >= MIDDLE; }

/* The byte at the first pixel of a cell. */
static uint8_t byte_at(const struct sample *sample, int y, int x) {
  int factor = sample_stage(sample)->resident->family->scale_factor;
  return sample_mask_at(sample, y * factor, x * factor);
}

enum status masks_put(struct sample *sample, struct device *device,
                      const struct drawing_room *room) {
  const struct stage *stage = sample_stage(sample);
  float *at = room->values;
  for (int y = 0; y < stage->latent_height; y++) {
    for (int x = 0; x < stage->latent_width; x++) {
      *at++ = (float)byte_at(sample, y, x) / 255.0f;
    }
  }
  return device_put(device, room->values, tensor_bytes(&sample->mask), &sample->mask);
}

enum status masks_put_planes(struct sample *sample, struct device *device,
                             const struct drawing_room *room, const float *latents) {
  const struct stage *stage = sample_stage(sample);
  int channels = latent_channels(stage);
  float *at = room->planes;
  for (int y = 0; y < stage->latent_height; y++) {
    for (int x = 0; x < stage->latent_width; x++) {
      *at++ = mask_covers(byte_at(sample, y, x)) ? 1.0f : 0.0f;
      for (int c = 0; c < channels; c++) {
        *at++ = *latents++;
      }
    }
  }
  return device_put(device, room->planes, tensor_bytes(&sample->planes), &sample->planes);
}
