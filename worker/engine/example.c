/* example.c - any picture will do, as long as it is always the same. */
#include "worker/engine/example.h"

bool example_wanted(const struct family *family) {
  return family->unet.in_channels > family->vae.latent_channels;
}

static void paint(uint32_t width, uint32_t height, uint8_t *rgb, uint8_t *mask) {
  for (uint32_t y = 0; y < height; y++) {
    for (uint32_t x = 0; x < width; x++) {
      *rgb++ = (uint8_t)(x * 255 / width);
      *rgb++ = (uint8_t)(y * 255 / height);
      *rgb++ = 128;
      *mask++ = x < width / 2 ? 0 : 255;
    }
  }
}

enum status example_open(Darkroom__V1__Job *job, struct example *out) {
  size_t pixels = (size_t)job->width * job->height;
  struct arena *memory = NULL;
  TRY(arena_open(NULL, 4 * pixels + 256, &memory));
  uint8_t *rgb = arena_take(memory, 3 * pixels), *mask = arena_take(memory, pixels);
  if (rgb == NULL || mask == NULL) {
    arena_close(&memory);
    return EXHAUSTED;
  }
  paint(job->width, job->height, rgb, mask);
  *out = (struct example){.memory = memory,
                          .blob = DARKROOM__V1__BLOB__INIT,
                          .input = {{INPUT_IMAGE, 0, job->width, job->height, 3, rgb, 3 * pixels},
                                    {INPUT_MASK, 0, job->width, job->height, 1, mask, pixels}}};
  out->inputs = (struct engine_inputs){out->input, 2};
  job->image = job->mask = &out->blob;
  return OK;
}

void example_close(struct example *example) { arena_close(&example->memory); }
