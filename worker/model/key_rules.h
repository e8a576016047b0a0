/* key_rules.h - the rules (key_map.h) from the names that files have to those of diffusers and
 * transformers.
 *
 * The original names are those of CompVis' and Stability's code, and of OpenCLIP; what they become
 * follows the documentation of diffusers' loaders/single_file_utils.py.
 */
#ifndef DARKROOM_WORKER_MODEL_KEY_RULES_H
#define DARKROOM_WORKER_MODEL_KEY_RULES_H

#include "worker/model/key_map.h"

/* Original names, without the prefix that they have in a single file. */
extern const struct key_rule unet_key_rules[];
extern const struct key_rule vae_key_rules[];
extern const struct key_rule control_key_rules[];
extern const struct key_rule tiny_key_rules[]; /* a decoder's alone */
extern const struct key_rule open_clip_key_rules[];
/* OpenCLIP where the last layer and the projection are not used: SD 2.x */
extern const struct key_rule open_clip_penultimate_key_rules[];

/* Names of transformers, with or without the "text_model." that some versions leave out. */
extern const struct key_rule clip_key_rules[];
/* Names of diffusers, with those that the VAE's attention had until 2023. */
extern const struct key_rule vae_folder_key_rules[];
/* As they stand. */
extern const struct key_rule same_key_rules[];

#endif
