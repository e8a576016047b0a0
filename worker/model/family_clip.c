/* family_clip.c - a text encoder's config.json. */
#include <stddef.h>
#include <stdio.h>

#include "worker/model/family_configs.h"

struct clip_config {
  struct clip_facts facts;
  double epsilon;
  int activation;
};
#define CLIP(member) offsetof(struct clip_config, member)
static const struct config_key clip_keys[] = {
    {"vocab_size", CONFIG_INTEGER, CLIP(facts.vocabulary), 3, 1 << 20, .standard = "49408"},
    {"hidden_size", CONFIG_INTEGER, CLIP(facts.width), 1, WIDTH_MAX, .standard = "512"},
    {"num_hidden_layers", CONFIG_INTEGER, CLIP(facts.layers), 1, 100, .standard = "12"},
    {"num_attention_heads", CONFIG_INTEGER, CLIP(facts.heads), 1, 256, .standard = "8"},
    {"intermediate_size", CONFIG_INTEGER, CLIP(facts.inner), 1, 4 * WIDTH_MAX, .standard = "2048"},
    {"max_position_embeddings", CONFIG_INTEGER, CLIP(facts.positions), 3, 77, .standard = "77"},
    {"hidden_act", CONFIG_WORD, CLIP(activation), .accepted = "'quick_gelu'|'gelu'",
     .standard = "'quick_gelu'"},
    {"layer_norm_eps", CONFIG_NUMBER, CLIP(epsilon), 0, 1, .standard = "1e-5"},
    {"projection_dim", CONFIG_INTEGER, CLIP(facts.projection), 1, WIDTH_MAX, .standard = "512"},
    {"eos_token_id", CONFIG_INTEGER, CLIP(facts.end), 0, 1 << 20, .standard = "49407"},
    /* model_index.json says which of the two is opened */
    {"architectures", CONFIG_ONLY,
     .accepted = "[\"CLIPTextModel\"]|[\"CLIPTextModelWithProjection\"]"},
    {"model_type", CONFIG_ONLY, .accepted = "'clip_text_model'"},
    /* token ids: the tokenizer's own files say them; these are often wrong (SD 1.5 writes 0 and 2),
     * but the end's decides where a text is pooled */
    {"bos_token_id", .kind = CONFIG_ANY},
    {"pad_token_id", .kind = CONFIG_ANY},
    /* training */
    {"attention_dropout", .kind = CONFIG_ANY},
    {"dropout", .kind = CONFIG_ANY},
    {"initializer_factor", .kind = CONFIG_ANY},
    {"initializer_range", .kind = CONFIG_ANY},
    /* how the file was written */
    {"_name_or_path", .kind = CONFIG_ANY},
    {"_attn_implementation_autoset", .kind = CONFIG_ANY},
    {"dtype", .kind = CONFIG_ANY},
    {"torch_dtype", .kind = CONFIG_ANY},
    {"transformers_version", .kind = CONFIG_ANY},
    {.key = NULL},
};

enum status clip_read(const char *folder, const struct encoder_place *place,
                      struct clip_facts *out) {
  struct clip_config config = {0};
  char name[64];
  snprintf(name, sizeof name, "%s/config.json", place->encoder);
  TRY(config_read(folder, name, clip_keys, &config));
  struct clip_facts facts = config.facts;
  facts.epsilon = (float)config.epsilon;
  facts.projection = place->network == NETWORK_TEXT_2 ? facts.projection : 0;
  facts.activation = config.activation == 0 ? ACTIVATION_QUICK_GELU : ACTIVATION_GELU;
  if (facts.width % facts.heads != 0) {
    return fail_field(BAD_INPUT, "config", "%s: hidden_size %d is not a multiple of %d heads", name,
                      facts.width, facts.heads);
  }
  *out = facts;
  return OK;
}
