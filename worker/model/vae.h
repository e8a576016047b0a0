/* vae.h - the decoder of the variational autoencoder (diffusers' AutoencoderKL): latents to a
 * picture. */
#ifndef DARKROOM_WORKER_MODEL_VAE_H
#define DARKROOM_WORKER_MODEL_VAE_H

#include "worker/model/blocks.h"
#include "worker/model/family.h"
#include "worker/model/loader.h"
#include "worker/model/pass.h"

struct vae_attention {
  struct norm norm;
  struct weight *qkv, *out;
};
struct vae_block {
  int64_t channels;
  struct resnet *resnet;   /* layers_per_block + 1 */
  struct weight *doubling; /* the convolution after doubling; NULL at the end */
};
struct vae {
  const struct vae_facts *facts;
  struct weight *post_quant; /* NULL: none */
  struct weight *conv_in, *conv_out;
  struct resnet mid[2];
  struct vae_attention attention; /* used when facts->mid_attention */
  struct vae_block up[UNET_LEVELS_MAX];
  struct norm norm_out;
};

/* facts are borrowed for as long as the decoder lives. The encoder's tensors are skipped. */
enum status vae_load(struct loader *loader, const struct vae_facts *facts, struct vae *vae);
/* latents [1, H, W, latent channels] activations, already divided by the scaling factor; picture
 * f32 [1, H * f, W * f, 3], about -1 to 1. */
enum status vae_run(const struct pass *pass, const struct vae *vae, const struct tensor *latents,
                    const struct tensor *picture);

#endif
