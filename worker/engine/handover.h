/* handover.h - a picture goes on at another size: from its latents, made larger bilinearly as
 * A1111's "Latent" does (torch's interpolate, corners not aligned), or from its pixels, made larger
 * as Pillow's Lanczos does. Turns for one image (solo.h). Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_HANDOVER_H
#define DARKROOM_WORKER_ENGINE_HANDOVER_H

#include "worker/engine/state.h"

/* Queues what brings its latents to the host. */
enum status handover_run(struct engine *engine, struct sample *sample, struct flight *flight);
/* They have landed: the next stage begins with them. */
enum status handover_read(struct engine *engine, struct sample *sample, struct flight *flight,
                          uint64_t took_us);
/* Its picture has been decoded: the next stage begins by encoding it. A job that fails ends here;
 * BROKEN alone is given back. */
enum status handover_picture(struct engine *engine, struct sample *sample, const uint8_t *rgb);

/* An image of floats [height, width, channels]. */
struct grid {
  int height, width, channels;
};
/* Bilinear, corners not aligned: pixel centres lie at halves; beyond the edge it is the edge. */
void grid_resize(const struct grid *from, const float *values, const struct grid *to, float *out);

#endif
