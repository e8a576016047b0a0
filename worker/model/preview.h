/* preview.h - the colours of a picture in the making, straight from its latents.
 *
 * A cell's colour is nearly a linear function of its latent: three sums of channels and a
 * constant. The factors are the model's own, whatever it is: its decoder is shown patches of even
 * latents once and the factors are fitted to the colours that it gives (least squares). On the
 * demo model that gives pictures within 21 dB of the decoder's own, averaged to cells; the best
 * factors for its pictures would give 23 dB, their mean colour 12.5 dB.
 */
#ifndef DARKROOM_WORKER_MODEL_PREVIEW_H
#define DARKROOM_WORKER_MODEL_PREVIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "worker/model/family.h"

struct model;
struct preview {
  int channels;
  float factor[3][VAE_CHANNELS_MAX + 1]; /* of each channel, the constant last */
};

/* Decodes a picture of 32x32 cells and waits for it: once for a model, when the first preview is
 * wanted. turn is scratch. */
enum status model_preview(struct model *model, struct arena *turn, struct preview *out);
/* Scratch bytes that it needs, at most. */
size_t model_preview_bytes(const struct model *model);

/* latents [cells, channels] of the host, as the U-Net sees them -> pixels [cells, 3], one a cell.
 * What is not finite is black. */
void preview_pixels(const struct preview *preview, const float *latents, size_t cells,
                    uint8_t *pixels);

#endif
