/* family_index.c - model_index.json. */
#include <stddef.h>

#include "worker/model/family_configs.h"

/* The safety checker looks at finished pictures and does not make them; whether to run one is the
 * operator's decision and not part of the model here. */
struct index {
  int tokenizer; /* 0 or 1, in the order of `accepted` */
};
static const struct config_key index_keys[] = {
    {"_class_name", CONFIG_ONLY, .accepted = "'StableDiffusionPipeline'"},
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {"feature_extractor", .kind = CONFIG_ANY},
    {"image_encoder", CONFIG_ONLY, .accepted = "[null,null]|null"},
    {"requires_safety_checker", .kind = CONFIG_ANY},
    {"safety_checker", .kind = CONFIG_ANY},
    {"scheduler", .kind = CONFIG_ANY}, /* its own file says the class */
    {"text_encoder", CONFIG_ONLY, .accepted = "[\"transformers\",\"CLIPTextModel\"]"},
    /* diffusers opens the class that is named here, whatever the tokenizer's own files say */
    {"tokenizer", CONFIG_WORD, offsetof(struct index, tokenizer),
     .accepted = "[\"transformers\",\"CLIPTokenizer\"]|[\"transformers\",\"CLIPTokenizerFast\"]",
     .standard = "[\"transformers\",\"CLIPTokenizer\"]"},
    {"unet", CONFIG_ONLY, .accepted = "[\"diffusers\",\"UNet2DConditionModel\"]"},
    {"vae", CONFIG_ONLY, .accepted = "[\"diffusers\",\"AutoencoderKL\"]"},
    {.key = NULL},
};

enum status family_index_read(const char *folder, struct family_index *out) {
  struct index index = {0};
  TRY(config_read(folder, "model_index.json", index_keys, &index));
  *out = (struct family_index){.encoder = {true}};
  out->rules[0] = index.tokenizer == 0 ? PROMPT_PLAIN : PROMPT_FAST;
  return OK;
}
