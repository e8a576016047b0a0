/* family_unet.c - unet/config.json. */
#include <stddef.h>

#include "worker/model/family_configs.h"

struct unet_config {
  struct unet_facts facts;
  struct config_list channels, down, up, heads, transformer_layers;
  double epsilon;
  int addition; /* 1: text_time */
  int added;    /* values of that, all together */
};
#define UNET(member) offsetof(struct unet_config, member)
static const struct config_key unet_keys[] = {
    {"sample_size", CONFIG_INTEGER, UNET(facts.sample_side), 1, SIDE_MAX, .standard = "64"},
    {"in_channels", CONFIG_INTEGER, UNET(facts.in_channels), 1, 64, .standard = "4"},
    {"out_channels", CONFIG_INTEGER, UNET(facts.out_channels), 1, 64, .standard = "4"},
    {"block_out_channels", CONFIG_INTEGERS, UNET(channels), 1, WIDTH_MAX, .standard = NULL},
    {"down_block_types", CONFIG_WORDS, UNET(down),
     .accepted = "'DownBlock2D'|'CrossAttnDownBlock2D'"},
    {"up_block_types", CONFIG_WORDS, UNET(up), .accepted = "'UpBlock2D'|'CrossAttnUpBlock2D'"},
    {"layers_per_block", CONFIG_INTEGER, UNET(facts.layers_per_block), 1, UNET_LAYERS_MAX,
     .standard = "2"},
    {"attention_head_dim", CONFIG_INTEGERS, UNET(heads), 1, 256, .standard = "8"},
    {"transformer_layers_per_block", CONFIG_INTEGERS, UNET(transformer_layers), 1,
     TRANSFORMER_LAYERS_MAX, .standard = "1"},
    {"cross_attention_dim", CONFIG_INTEGER, UNET(facts.cross_width), 1, WIDTH_MAX,
     .standard = "1280"},
    {"norm_num_groups", CONFIG_INTEGER, UNET(facts.groups), 1, GROUP_WIDTH_MAX, .standard = "32"},
    {"norm_eps", CONFIG_NUMBER, UNET(epsilon), 0, 1, .standard = "1e-5"},
    {"addition_time_embed_dim", CONFIG_COUNT, UNET(facts.addition.width), 1, WIDTH_MAX,
     .accepted = NULL},
    {"projection_class_embeddings_input_dim", CONFIG_COUNT, UNET(added), 1, 4 * WIDTH_MAX,
     .accepted = NULL},
    {"time_cond_proj_dim", CONFIG_COUNT, UNET(facts.guidance_width), GUIDANCE_WIDTH_MIN, WIDTH_MAX,
     .accepted = NULL},
    {"_class_name", CONFIG_ONLY, .accepted = "'UNet2DConditionModel'"},
    {"num_attention_heads", CONFIG_ONLY, .accepted = "null"}, /* diffusers refuses it as well */
    {"use_linear_projection", CONFIG_FLAG, UNET(facts.linear_projection), .standard = "false"},
    {"mid_block_type", CONFIG_ONLY, .accepted = "'UNetMidBlock2DCrossAttn'"},
    {"act_fn", CONFIG_ONLY, .accepted = "'silu'|'swish'"},
    {"center_input_sample", CONFIG_ONLY, .accepted = "false"},
    {"flip_sin_to_cos", CONFIG_ONLY, .accepted = "true"},
    {"freq_shift", CONFIG_ONLY, .accepted = "0"},
    {"downsample_padding", CONFIG_ONLY, .accepted = "1"},
    {"mid_block_scale_factor", CONFIG_ONLY, .accepted = "1"},
    {"only_cross_attention", CONFIG_ONLY, .accepted = "false"},
    {"mid_block_only_cross_attention", CONFIG_ONLY, .accepted = "null|false"},
    {"dual_cross_attention", CONFIG_ONLY, .accepted = "false"},
    {"cross_attention_norm", CONFIG_ONLY, .accepted = "null"},
    {"attention_type", CONFIG_ONLY, .accepted = "'default'"},
    {"reverse_transformer_layers_per_block", CONFIG_ONLY, .accepted = "null"},
    {"encoder_hid_dim", CONFIG_ONLY, .accepted = "null"},
    {"encoder_hid_dim_type", CONFIG_ONLY, .accepted = "null"},
    {"class_embed_type", CONFIG_ONLY, .accepted = "null"},
    {"class_embeddings_concat", CONFIG_ONLY, .accepted = "false"},
    {"num_class_embeds", CONFIG_ONLY, .accepted = "null"},
    {"addition_embed_type", CONFIG_WORD, UNET(addition), .accepted = "null|'text_time'",
     .standard = "null"},
    {"addition_embed_type_num_heads", .kind = CONFIG_ANY}, /* of another kind, refused above */
    {"resnet_time_scale_shift", CONFIG_ONLY, .accepted = "'default'"},
    {"resnet_skip_time_act", CONFIG_ONLY, .accepted = "false"},
    {"resnet_out_scale_factor", CONFIG_ONLY, .accepted = "1"},
    {"time_embedding_type", CONFIG_ONLY, .accepted = "'positional'"},
    {"time_embedding_dim", CONFIG_ONLY, .accepted = "null"},
    {"time_embedding_act_fn", CONFIG_ONLY, .accepted = "null"},
    {"timestep_post_act", CONFIG_ONLY, .accepted = "null"},
    {"conv_in_kernel", CONFIG_ONLY, .accepted = "3"},
    {"conv_out_kernel", CONFIG_ONLY, .accepted = "3"},
    {"upcast_attention", CONFIG_ONLY,
     .accepted = "null|false|true"}, /* scores are always kept in f32 */
    {"dropout", .kind = CONFIG_ANY}, /* training */
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

/* One value per level out of a list, or the one value for all. */
static enum status spread(const char *key, const struct config_list *list, int levels, int *out) {
  if (!list->scalar && list->count != levels) {
    return levels_refuse("unet/config.json", key, list->count, levels);
  }
  for (int i = 0; i < levels; i++) {
    out[i] = list->scalar ? list->value[0] : list->value[i];
  }
  return OK;
}

static enum status unet_lists(const struct unet_config *config, struct unet_facts *out) {
  static const char name[] = "unet/config.json";
  TRY(levels_read(name, &config->channels, out->groups, &out->levels, out->channels));
  if (config->down.count != out->levels) {
    return levels_refuse(name, "down_block_types", config->down.count, out->levels);
  }
  if (config->up.count != out->levels) {
    return levels_refuse(name, "up_block_types", config->up.count, out->levels);
  }
  /* In these configs attention_head_dim is the number of heads: a slip that diffusers keeps for
   * compatibility (diffusers#2011). */
  TRY(spread("attention_head_dim", &config->heads, out->levels, out->heads));
  TRY(spread("transformer_layers_per_block", &config->transformer_layers, out->levels,
             out->transformer_layers));
  for (int i = 0; i < out->levels; i++) {
    out->attention_down[i] = config->down.value[i] == 1;
    out->attention_up[i] = config->up.value[i] == 1;
    if (out->channels[i] % out->heads[i] != 0) {
      return fail_field(BAD_INPUT, "config", "%s: %d channels are not a multiple of %d heads", name,
                        out->channels[i], out->heads[i]);
    }
  }
  return OK;
}

static enum status read_addition(const struct unet_config *config, int sizes,
                                 struct unet_facts *out) {
  static const char name[] = "unet/config.json";
  int width = config->facts.addition.width;
  out->addition = (struct addition_facts){0};
  if ((config->addition == 1) != (sizes > 0)) {
    return fail_field(BAD_INPUT, "config", "%s: addition_embed_type is %s; implemented here: %s",
                      name, config->addition == 1 ? "'text_time'" : "null",
                      sizes > 0 ? "'text_time'" : "null");
  }
  if (sizes == 0) {
    return OK;
  }
  if (width < 2 || width % 2 != 0 || config->added <= sizes * width) {
    return fail_field(BAD_INPUT, "config",
                      "%s: projection_class_embeddings_input_dim %d is not more than %d numbers of "
                      "addition_time_embed_dim %d, an even number",
                      name, config->added, sizes, width);
  }
  out->addition = (struct addition_facts){sizes, width, config->added - sizes * width};
  return OK;
}

enum status unet_read(const char *folder, int sizes, struct unet_facts *out) {
  struct unet_config config = {0};
  TRY(config_read(folder, "unet/config.json", unet_keys, &config));
  struct unet_facts facts = config.facts;
  facts.epsilon = (float)config.epsilon;
  TRY(read_addition(&config, sizes, &facts));
  TRY(unet_lists(&config, &facts));
  *out = facts;
  return OK;
}
