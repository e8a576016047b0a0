/* family.h - constant facts of a model, read once and then only read.
 *
 * A family is a row of a table (families.c): which networks it has and how they hang together. What
 * its configs say, level by level, is facts. A value that is not implemented is refused by name:
 * never ignored, never guessed.
 */
#ifndef DARKROOM_WORKER_MODEL_FAMILY_H
#define DARKROOM_WORKER_MODEL_FAMILY_H

#include <stdbool.h>

#include "base/limits.h"
#include "base/status.h"
#include "kernels/ops.h"
#include "worker/model/prompt.h"
#include "worker/model/source.h"
#include "worker/sampler/noise_levels.h"

#define UNET_LEVELS_MAX 6
#define VAE_CHANNELS_MAX 64 /* of latents */
#define UNET_LAYERS_MAX 16  /* a level */

struct clip_facts {
  int vocabulary, width, layers, heads, inner, positions;
  enum activation activation;
  float epsilon;
  int projection; /* width of the pooled text; 0: the file has no projection */
  int end;        /* the id at whose place the text is pooled; 2: at the highest id, as old configs
                     mean it */
};
/* Numbers and pooled text that are added to the time embedding ("text_time"; Podell et al. 2023,
 * 2.2). */
struct addition_facts {
  int sizes;  /* numbers, of CONDITION_SIZES_MAX; 0: nothing is added */
  int width;  /* that each of them is embedded in */
  int pooled; /* width of the pooled text before them */
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
  int sample_side;        /* latent cells of the model's own size */
  bool linear_projection; /* says nothing of the arithmetic: SD 2 and XL write it */
  struct addition_facts addition;
  int guidance_width; /* that the guidance is embedded in (LCM; Luo et al. 2023, 4.2); 0: it is not
                         told, and guidance is two rows */
};
struct vae_facts {
  int levels;
  int channels[UNET_LEVELS_MAX]; /* in the order of the encoder's down blocks: the decoder starts at
                                    the last */
  int layers_per_block, latent_channels, groups;
  float scaling_factor;
  bool mid_attention, quant, post_quant;
  bool standardized; /* latents are scaling_factor * (z - mean) / deviation */
  float mean[VAE_CHANNELS_MAX], deviation[VAE_CHANNELS_MAX];
  enum precision precision; /* PRECISION_RANGE where the config says that it overflows f16 */
};

/* Where a text encoder lies in a folder, and its layers' name space. */
struct encoder_place {
  const char *encoder, *tokenizer; /* "text_encoder_2", "tokenizer_2" */
  enum network network;
};
struct family_row {
  const char *name; /* "sd1" */
  int text_encoders;
  struct encoder_place place[TEXT_ENCODERS_MAX];
  int layers_back; /* which hidden state cross attention sees: 0 the last */
  bool normed;     /* behind the encoder's last norm */
  int sizes;       /* numbers that it is told beside the prompt, 0: none */
  bool scored;     /* the last of them is an aesthetic score */
};
#define FAMILY_COUNT 4
extern const struct family_row families[FAMILY_COUNT];
/* The row of that name, or NULL. */
const struct family_row *family_find(const char *name);

struct family {
  const struct family_row *row;
  struct clip_facts clip[TEXT_ENCODERS_MAX];
  enum prompt_rules prompt[TEXT_ENCODERS_MAX];
  struct unet_facts unet;
  struct vae_facts vae;
  struct noise_facts noise;
  int scale_factor;        /* pixels per latent cell: 2^(vae levels - 1) */
  bool zeros_when_silent;  /* a negative prompt of which nothing was said is zeros instead of an
                            encoded text (force_zeros_for_empty_prompt); "" is encoded */
  bool prediction_assumed; /* what the U-Net predicts is told by nobody (family_guess.h) */
};

/* Reads model_index.json and every config.json of a diffusers-layout folder. BAD_INPUT (field
 * "config") names file, key and value. */
enum status family_read(const char *folder, struct family *out);
/* Which of its text encoders this network is, or -1. */
int family_encoder(const struct family *family, enum network network);
/* Values of what is added, all together: the pooled text and the embedded numbers. */
int addition_inputs(const struct addition_facts *addition);
/* What the facts say of each other: widths and channels that must agree. BAD_INPUT alike. */
enum status family_check(const struct family *family);

#endif
