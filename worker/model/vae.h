/* vae.h - the variational autoencoder (diffusers' AutoencoderKL): latents to a picture, and a
 * picture to latents. */
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
struct vae_middle {
  struct resnet resnet[2];
  struct vae_attention attention; /* used when the facts have mid_attention */
};
struct vae_level {
  int64_t channels;
  int layers;
  struct resnet *resnet;
  struct weight *resize; /* the decoder's convolution after doubling, the encoder's that halves;
                               NULL at the last level */
};
/* One way through: levels in the order in which they are run. */
struct vae_side {
  /* The decoder's first layers, the encoder's last, each NULL where there is none: from latents of
   * mean 0 and deviation 1 and back, and diffusers' post_quant_conv or quant_conv. */
  struct weight *standard, *quant;
  struct weight *conv_in, *conv_out;
  struct vae_middle middle;
  struct vae_level level[UNET_LEVELS_MAX];
  struct norm norm_out;
};
struct vae {
  const struct vae_facts *facts;
  struct vae_side decoder, encoder;
  size_t decoder_bytes; /* on the device */
  bool encodes;         /* false: the file has no encoder, and none is loaded */
};

/* facts are borrowed for as long as the autoencoder lives. With `decoder_alone` the encoder's
 * tensors are skipped; else it is loaded where the file has one. */
enum status vae_load(struct loader *loader, const struct vae_facts *facts, bool decoder_alone,
                     struct vae *vae);
/* latents [1, H, W, latent channels] activations, already divided by the scaling factor; picture
 * f32 [1, H * f, W * f, 3], about -1 to 1. */
enum status vae_run(const struct pass *pass, const struct vae *vae, const struct tensor *latents,
                    const struct tensor *picture);
/* picture [1, H * f, W * f, 3] activations, -1 to 1; moments f32 [1, H, W, 2 * latent channels]:
 * the means, then the logarithms of the variances, for op_posterior. */
enum status vae_encode(const struct pass *pass, const struct vae *vae, const struct tensor *picture,
                       const struct tensor *moments);

/* Latents as the decoder's conv_in takes them: *out is `latents`, or taken from the pass's arena.
 */
enum status vae_latents_run(const struct pass *pass, const struct vae_side *decoder,
                            const struct tensor *latents, struct tensor *out);
/* moments = standard(quant(conv_out(silu(norm_out(x))))), each where there is one: the last gives
 * f32. x is lost. */
enum status vae_moments_run(const struct pass *pass, const struct vae_side *encoder,
                            const struct tensor *x, const struct tensor *moments);
/* x -> out, both of one shape and out taken by the caller: the middle of either side. */
enum status vae_middle_run(const struct pass *pass, const struct vae *vae,
                           const struct vae_middle *middle, const struct tensor *x,
                           const struct tensor *out);
/* All residual blocks of a level of either side, x -> last, in `last` and another picture by turns.
 */
enum status vae_layers_run(const struct pass *pass, const struct vae_level *level,
                           const struct tensor *x, const struct tensor *last);

#endif
