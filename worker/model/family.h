/* family.h - constant facts of a model, read once from its config files and then only read.
 *
 * A value that is not implemented is refused by name: never ignored, never guessed.
 */
#ifndef DARKROOM_WORKER_MODEL_FAMILY_H
#define DARKROOM_WORKER_MODEL_FAMILY_H

#include <stdbool.h>

#include "base/status.h"
#include "kernels/ops.h"
#include "worker/model/prompt.h"
#include "worker/sampler/noise_levels.h"

#define UNET_LEVELS_MAX 6

struct clip_facts {
  int vocabulary, width, layers, heads, inner, positions;
  enum activation activation;
  float epsilon;
};
/* Lists are in the order of the down blocks; up block i is the mirror of down block levels - 1 - i,
 * except for attention_up, which is in the order of the up blocks as the config writes it. */
struct unet_facts {
  int levels;
  int channels[UNET_LEVELS_MAX];
  bool attention_down[UNET_LEVELS_MAX], attention_up[UNET_LEVELS_MAX];
  int heads[UNET_LEVELS_MAX];
  int layers_per_block;
  int transformer_layers[UNET_LEVELS_MAX];
  int in_channels, out_channels, cross_width;
  int groups;
  float epsilon;
  int sample_side; /* latent cells of the model's own size */
};
struct vae_facts {
  int levels;
  int channels[UNET_LEVELS_MAX]; /* in the order of the encoder's down blocks: the decoder starts at
                                    the last */
  int layers_per_block, latent_channels, groups;
  float scaling_factor;
  bool mid_attention, post_quant;
  enum precision precision; /* PRECISION_RANGE where the config says that it overflows f16 */
};
struct family {
  char name[16]; /* "sd1" */
  struct clip_facts clip;
  struct unet_facts unet;
  struct vae_facts vae;
  struct noise_facts noise;
  int scale_factor; /* pixels per latent cell: 2^(vae levels - 1) */
  enum prompt_rules prompt;
};

/* Reads model_index.json and every config.json of a diffusers-layout folder. BAD_INPUT (field
 * "config") names file, key and value. */
enum status family_read(const char *folder, struct family *out);

#endif
