/* key_layout.c - the layouts that are known, and what else such files have in them. */
#include "worker/model/key_layout.h"

#include <stdio.h>
#include <string.h>

#include "worker/model/key_rules.h"

#define UNET \
  { NETWORK_UNET, "model.diffusion_model.", unet_key_rules }
#define VAE \
  {NETWORK_VAE, "first_stage_model.", vae_key_rules}, { NETWORK_VAE, "vae.", vae_key_rules }

static const struct key_layout layouts[] = {
    {"sd2",
     "cond_stage_model.model.",
     {UNET, VAE, {NETWORK_TEXT, "cond_stage_model.model.", open_clip_penultimate_key_rules}}},
    {"sdxl",
     "conditioner.embedders.1.model.",
     {UNET,
      VAE,
      {NETWORK_TEXT, "conditioner.embedders.0.transformer.", clip_key_rules},
      {NETWORK_TEXT_2, "conditioner.embedders.1.model.", open_clip_key_rules}}},
    {"sdxl-refiner",
     "conditioner.embedders.0.model.",
     {UNET, VAE, {NETWORK_TEXT_2, "conditioner.embedders.0.model.", open_clip_key_rules}}},
    {"sd1",
     "cond_stage_model.transformer.",
     {UNET, VAE, {NETWORK_TEXT, "cond_stage_model.transformer.", clip_key_rules}}},
    {NULL, "control_model.", {{NETWORK_CONTROL, "control_model.", control_key_rules}}},
    {NULL, "input_hint_block.", {{NETWORK_CONTROL, "", control_key_rules}}},
    {NULL, "controlnet_cond_embedding.", {{NETWORK_CONTROL, "", same_key_rules}}},
    {NULL, "decoder.layers.", {{NETWORK_TINY, "", same_key_rules}}},
    {NULL, "1.weight", {{NETWORK_TINY, "", tiny_key_rules}}},
};

static const struct key_place in_folder[NETWORKS] = {
    [NETWORK_VAE] = {NETWORK_VAE, "", vae_folder_key_rules},
    [NETWORK_UNET] = {NETWORK_UNET, "", same_key_rules},
    [NETWORK_TEXT] = {NETWORK_TEXT, "", clip_key_rules},
    [NETWORK_TEXT_2] = {NETWORK_TEXT_2, "", clip_key_rules},
    [NETWORK_CONTROL] = {NETWORK_CONTROL, "", same_key_rules},
    [NETWORK_TINY] = {NETWORK_TINY, "", same_key_rules},
};

static bool begins(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool key_begins(const struct safetensors *file, const char *prefix) {
  for (size_t i = 0; i < file->count; i++) {
    if (begins(file->entry[i].name, prefix)) {
      return true;
    }
  }
  return false;
}

static bool has_place(const struct key_layout *layout, enum network network) {
  for (int i = 0; i < LAYOUT_PLACES_MAX; i++) {
    if (layout->place[i].network == network) {
      return true;
    }
  }
  return false;
}

const struct key_layout *key_layout_find(const struct safetensors *file, enum network network,
                                         const char *family) {
  for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
    const struct key_layout *layout = &layouts[i];
    bool wanted = family == NULL || layout->family == NULL || strcmp(layout->family, family) == 0;
    if (wanted && has_place(layout, network) && key_begins(file, layout->mark)) {
      return layout;
    }
  }
  return NULL;
}

const struct key_place *key_layout_place(const struct key_layout *layout,
                                         const struct safetensors *file, enum network network) {
  for (int i = 0; i < LAYOUT_PLACES_MAX; i++) {
    const struct key_place *place = &layout->place[i];
    if (place->network == network && key_begins(file, place->prefix)) {
      return place;
    }
  }
  return NULL;
}

const struct key_place *key_place_in_folder(enum network network) { return &in_folder[network]; }

/* ---- sizes ---- */

static void most(const char *from, const char *key, int *out) {
  int number = 0;
  if (key_number(from, key, '.', &number) && number > *out) {
    *out = number;
  }
}

/* L + 1 is the number of the first way down; a U-Net of one level has none, and its blocks are
 * counted alike with any L. */
struct key_sizes key_sizes_of(const struct safetensors *file, const char *prefix) {
  enum { MANY = 1000000 };
  int down = MANY, level = -1, last = -1;
  for (size_t i = 0; i < file->count; i++) {
    const char *key = file->entry[i].name;
    int number = 0;
    if (!begins(key, prefix)) {
      continue;
    }
    key += strlen(prefix);
    if (key_number("input_blocks.#.0.op", key, '.', &number) && number < down) {
      down = number;
    }
    most("decoder.up.#", key, &level);
    most("transformer.resblocks.#", key, &last);
    most("input_hint_block.#", key, &last);
  }
  return (struct key_sizes){.layers = down > 1 ? down - 1 : 1, .levels = level + 1, .last = last};
}

/* ---- what is of no use ---- */

static const char *const useless[] = {
    "alphas_cumprod",
    "betas",
    "log_one_minus_alphas_cumprod",
    "lvlb_weights",
    "posterior_",
    "sqrt_",        /* of the training's noise */
    "denoiser.",    /* the same, in later files */
    "scale_factor", /* the VAE's, which the family says */
    "logvar",
    "global_step", /* of training */
    "model_ema.",  /* averaged copies */
    "cond_stage_model.logit_scale",
    "cond_stage_model.text_projection",
    "v_pred",
    "ztsnr", /* marks without values: family_guess.c looks for them */
};

bool key_is_known(const struct key_layout *layout, const char *key) {
  for (int i = 0; i < LAYOUT_PLACES_MAX && layout->place[i].network != NETWORK_NONE; i++) {
    if (begins(key, layout->place[i].prefix)) {
      return true;
    }
  }
  for (size_t i = 0; layout->family != NULL && i < sizeof useless / sizeof *useless; i++) {
    if (begins(key, useless[i])) {
      return true;
    }
  }
  return false;
}

void key_averaged(const char *key, char out[SAFETENSORS_NAME_BYTES_MAX + 1]) {
  static const char model[] = "model.", copy[] = "model_ema.";
  size_t at = sizeof copy - 1;
  memcpy(out, copy, at);
  for (key += begins(key, model) ? sizeof model - 1 : 0; *key != '\0'; key++) {
    if (*key != '.' && at < SAFETENSORS_NAME_BYTES_MAX) {
      out[at++] = *key;
    }
  }
  out[at] = '\0';
}
