/* tiny_vae.h - a tiny decoder on a device (diffusers' AutoencoderTiny, the architecture of TAESD):
 * convolutions with ReLU alone, some fifty times cheaper than a family's own decoder. For previews,
 * and for pictures whose job asks for it. Its encoder is not loaded.
 */
#ifndef DARKROOM_WORKER_MODEL_TINY_VAE_H
#define DARKROOM_WORKER_MODEL_TINY_VAE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "kernels/device.h"

struct decode;
struct family;
struct model_source;
struct tiny_vae;

/* Loads, checks and packs: a folder in diffusers' layout or one file with the original names.
 * BAD_INPUT (field "tiny_decoder") when it does not go with the family (latent channels, pixels per
 * cell), else as model_open. EXHAUSTED without memory. The device is borrowed until close. */
enum status tiny_vae_open(struct device *device, const struct model_source *source,
                          const struct family *family, struct tiny_vae **out);
void tiny_vae_close(struct tiny_vae **tiny);
size_t tiny_vae_bytes(const struct tiny_vae *tiny);

/* As model_decode, with a row whose scale is tiny_vae_scale(): TAESD takes the latents as the U-Net
 * sees them. Only ops are queued. */
enum status tiny_vae_decode(struct tiny_vae *tiny, struct arena *turn, const struct decode *decode);
float tiny_vae_scale(const struct tiny_vae *tiny);
/* Scratch bytes that it needs for latents of height x width, at most. */
size_t tiny_vae_decode_bytes(const struct tiny_vae *tiny, int height, int width);

#endif
