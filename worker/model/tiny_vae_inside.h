/* tiny_vae_inside.h - a tiny decoder's parts, for the files that are one with tiny_vae.c. */
#ifndef DARKROOM_WORKER_MODEL_TINY_VAE_INSIDE_H
#define DARKROOM_WORKER_MODEL_TINY_VAE_INSIDE_H

#include "worker/model/family.h"
#include "worker/model/lone.h"
#include "worker/model/tiny_vae.h"

struct tiny_facts {
  int levels, latent_channels;
  int channels[UNET_LEVELS_MAX], blocks[UNET_LEVELS_MAX]; /* in the order in which they are run */
  float scaling_factor;
};
/* relu(x + conv(relu(conv(relu(conv(x)))))) */
struct tiny_block {
  struct weight *conv[3];
};
struct tiny_level {
  struct tiny_block *block;
  struct weight *next; /* behind doubling, without bias; of the last level: to the picture */
};
struct tiny_vae {
  struct lone lone;
  struct tiny_facts facts;
  struct weight *conv_in;
  struct tiny_level level[UNET_LEVELS_MAX];
};

/* The folder's config.json, or of a single file what TAESD is. BAD_INPUT (field "config" or
 * "tiny_decoder"). */
enum status tiny_facts_read(const struct model_source *source, const struct family *family,
                            struct tiny_facts *out);
/* All of the decoder's tensors, each once. */
enum status tiny_load(struct loader *loader, struct tiny_vae *tiny);

#endif
