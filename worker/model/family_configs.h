/* family_configs.h - one config file each into facts: the tables of known keys.
 *
 * The keys are those that diffusers 0.35 and transformers 4.57 write; each row says what of it is
 * implemented. BAD_INPUT (field "config") names file, key and value.
 */
#ifndef DARKROOM_WORKER_MODEL_FAMILY_CONFIGS_H
#define DARKROOM_WORKER_MODEL_FAMILY_CONFIGS_H

#include "worker/model/config.h"
#include "worker/model/family.h"

#define WIDTH_MAX 16384
#define GROUP_WIDTH_MAX 4096
#define TRANSFORMER_LAYERS_MAX 32
#define GUIDANCE_WIDTH_MIN 4 /* two frequencies: fewer have nothing between them */
#define SIDE_MAX 4096

/* What model_index.json says. */
struct family_index {
  bool encoder[TEXT_ENCODERS_MAX]; /* which of the two places has a text encoder */
  enum prompt_rules rules[TEXT_ENCODERS_MAX];
  bool xl;           /* one of the XL pipelines */
  bool keeps_offset; /* the timesteps' offset is what the scheduler's file says, not 1 */
  bool scored;       /* requires_aesthetics_score */
  bool zeros;        /* force_zeros_for_empty_prompt, of an XL pipeline */
};
enum status family_index_read(const char *folder, struct family_index *out);

/* place: of the two; only the second has a projection. */
enum status clip_read(const char *folder, const struct encoder_place *place,
                      struct clip_facts *out);
/* sizes: numbers that the family is told, see addition_facts. */
enum status unet_read(const char *folder, int sizes, struct unet_facts *out);
enum status vae_read(const char *folder, struct vae_facts *out);
enum status noise_read(const char *folder, const struct family_index *index,
                       struct noise_facts *out);

/* The levels' widths out of a list; each must divide into groups. */
enum status levels_read(const char *name, const struct config_list *channels, int groups,
                        int *levels, int *out);
/* A list that is not as long as the levels are many. */
enum status levels_refuse(const char *name, const char *key, int count, int levels);

#endif
