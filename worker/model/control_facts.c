/* control_facts.c - config.json of a ControlNetModel, and whether the net goes with a family. */
#include <stddef.h>
#include <string.h>

#include "worker/model/control_inside.h"
#include "worker/model/family_configs.h"

#define NAME "config.json"
#define REFUSE(...) fail_field(BAD_INPUT, "control", __VA_ARGS__)

/* ---- config.json ---- */

struct control_config {
  struct unet_facts unet;
  struct config_list channels, down, heads, transformer_layers, hint;
  double epsilon;
  bool pools;
  int order; /* 1: blue first */
  int added; /* 1: text_time */
  int added_width, added_inputs;
};
#define CONTROL(member) offsetof(struct control_config, member)
static const struct config_key control_keys[] = {
    {"in_channels", CONFIG_INTEGER, CONTROL(unet.in_channels), 1, 64, .standard = "4"},
    {"block_out_channels", CONFIG_INTEGERS, CONTROL(channels), 1, WIDTH_MAX,
     .standard = "[320, 640, 1280, 1280]"},
    {"down_block_types", CONFIG_WORDS, CONTROL(down),
     .accepted = "'DownBlock2D'|'CrossAttnDownBlock2D'"},
    {"layers_per_block", CONFIG_INTEGER, CONTROL(unet.layers_per_block), 1, UNET_LAYERS_MAX,
     .standard = "2"},
    {"attention_head_dim", CONFIG_INTEGERS, CONTROL(heads), 1, 256, .standard = "8"},
    {"transformer_layers_per_block", CONFIG_INTEGERS, CONTROL(transformer_layers), 1, 32,
     .standard = "1"},
    {"cross_attention_dim", CONFIG_INTEGER, CONTROL(unet.cross_width), 1, WIDTH_MAX,
     .standard = "1280"},
    {"norm_num_groups", CONFIG_INTEGER, CONTROL(unet.groups), 1, GROUP_WIDTH_MAX, .standard = "32"},
    {"norm_eps", CONFIG_NUMBER, CONTROL(epsilon), 0, 1, .standard = "1e-5"},
    {"conditioning_embedding_out_channels", CONFIG_INTEGERS, CONTROL(hint), 1, WIDTH_MAX,
     .standard = "[16, 32, 96, 256]"},
    {"controlnet_conditioning_channel_order", CONFIG_WORD, CONTROL(order),
     .accepted = "'rgb'|'bgr'", .standard = "'rgb'"},
    {"global_pool_conditions", CONFIG_FLAG, CONTROL(pools), .standard = "false"},
    {"addition_embed_type", CONFIG_WORD, CONTROL(added), .accepted = "null|'text_time'",
     .standard = "null"},
    {"addition_time_embed_dim", CONFIG_COUNT, CONTROL(added_width), 1, WIDTH_MAX,
     .standard = "null"},
    {"projection_class_embeddings_input_dim", CONFIG_COUNT, CONTROL(added_inputs), 1, WIDTH_MAX,
     .standard = "null"},
    {"_class_name", CONFIG_ONLY, .accepted = "'ControlNetModel'"},
    {"conditioning_channels", CONFIG_ONLY, .accepted = "3"},
    {"num_attention_heads", CONFIG_ONLY, .accepted = "null"},
    {"use_linear_projection", CONFIG_ONLY,
     .accepted = "false|true"}, /* the same arithmetic; shapes are read alike */
    {"mid_block_type", CONFIG_ONLY, .accepted = "'UNetMidBlock2DCrossAttn'"},
    {"act_fn", CONFIG_ONLY, .accepted = "'silu'|'swish'"},
    {"flip_sin_to_cos", CONFIG_ONLY, .accepted = "true"},
    {"freq_shift", CONFIG_ONLY, .accepted = "0"},
    {"downsample_padding", CONFIG_ONLY, .accepted = "1"},
    {"mid_block_scale_factor", CONFIG_ONLY, .accepted = "1"},
    {"only_cross_attention", CONFIG_ONLY, .accepted = "false"},
    {"encoder_hid_dim", CONFIG_ONLY, .accepted = "null"},
    {"encoder_hid_dim_type", CONFIG_ONLY, .accepted = "null"},
    {"class_embed_type", CONFIG_ONLY, .accepted = "null"},
    {"num_class_embeds", CONFIG_ONLY, .accepted = "null"},
    {"addition_embed_type_num_heads", .kind = CONFIG_ANY}, /* of "text", refused above */
    {"resnet_time_scale_shift", CONFIG_ONLY, .accepted = "'default'"},
    {"upcast_attention", CONFIG_ONLY,
     .accepted = "null|false|true"}, /* scores are always kept in f32 */
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

/* One value per level out of a list, or the one value for all. */
static enum status spread(const char *key, const struct config_list *list, int levels, int *out) {
  if (!list->scalar && list->count != levels) {
    return levels_refuse(NAME, key, list->count, levels);
  }
  for (int i = 0; i < levels; i++) {
    out[i] = list->scalar ? list->value[0] : list->value[i];
  }
  return OK;
}

static enum status take_levels(const struct control_config *config, struct unet_facts *out) {
  TRY(levels_read(NAME, &config->channels, out->groups, &out->levels, out->channels));
  if (config->down.count != out->levels) {
    return levels_refuse(NAME, "down_block_types", config->down.count, out->levels);
  }
  /* attention_head_dim is the number of heads here, as in the U-Net's config */
  TRY(spread("attention_head_dim", &config->heads, out->levels, out->heads));
  TRY(spread("transformer_layers_per_block", &config->transformer_layers, out->levels,
             out->transformer_layers));
  for (int i = 0; i < out->levels; i++) {
    out->attention_down[i] = config->down.value[i] == 1;
    if (out->channels[i] % out->heads[i] != 0) {
      return fail_field(BAD_INPUT, "config", NAME ": %d channels are not a multiple of %d heads",
                        out->channels[i], out->heads[i]);
    }
  }
  return OK;
}

static enum status take_hint(const struct config_list *list, struct control_facts *out) {
  if (list->scalar) {
    return fail_field(BAD_INPUT, "config",
                      NAME ": conditioning_embedding_out_channels must be a list");
  }
  out->hint_levels = list->count;
  memcpy(out->hint_channels, list->value, sizeof list->value);
  return OK;
}
_Static_assert(CONTROL_HINT_LEVELS_MAX == CONFIG_LIST_MAX, "a list of any length has room");

/* What is told beside the prompt is the family's, or nothing. */
static enum status take_addition(const struct control_config *config, const struct family *family,
                                 struct addition_facts *out) {
  const struct addition_facts *told = &family->unet.addition;
  if (config->added == 0) {
    *out = (struct addition_facts){0};
    return OK;
  }
  if (config->added_width != told->width || config->added_inputs != addition_inputs(told)) {
    return REFUSE(
        "the control net is told %d values beside the prompt, numbers in %d each; the "
        "model %d, in %d",
        config->added_inputs, config->added_width, addition_inputs(told), told->width);
  }
  *out = *told;
  return OK;
}

static enum status read_config(const char *folder, const struct family *family,
                               struct control_facts *out) {
  struct control_config config = {0};
  TRY(config_read(folder, NAME, control_keys, &config));
  struct control_facts facts = {
      .unet = config.unet, .blue_first = config.order == 1, .pools = config.pools};
  facts.unet.epsilon = (float)config.epsilon;
  TRY(take_addition(&config, family, &facts.unet.addition));
  TRY(take_levels(&config, &facts.unet));
  TRY(take_hint(&config.hint, &facts));
  *out = facts;
  return OK;
}

/* A single file says nothing: the net is a copy of the family's way down, and the picture's net is
 * measured when it is loaded. */
static void take_family(const struct family *family, struct control_facts *out) {
  *out = (struct control_facts){.unet = family->unet};
  out->unet.in_channels = family->vae.latent_channels;
  out->unet.guidance_width = 0;
}

enum status control_facts_read(const struct model_source *source, const struct family *family,
                               struct control_facts *out) {
  const char *folder = source->file == NULL ? source->folder : source->configs;
  if (folder != NULL) {
    return read_config(folder, family, out);
  }
  take_family(family, out);
  return OK;
}

/* ---- whether it goes with a family ---- */

static enum status fit_levels(const struct unet_facts *net, const struct unet_facts *unet) {
  if (net->levels != unet->levels || net->layers_per_block != unet->layers_per_block) {
    return REFUSE("the control net has %d levels of %d layers, the model %d of %d", net->levels,
                  net->layers_per_block, unet->levels, unet->layers_per_block);
  }
  for (int i = 0; i < net->levels; i++) {
    if (net->channels[i] != unet->channels[i]) {
      return REFUSE("the control net has %d channels in level %d, the model %d", net->channels[i],
                    i, unet->channels[i]);
    }
  }
  return OK;
}

static enum status fit_text(const struct unet_facts *net, const struct unet_facts *unet) {
  if (net->cross_width != unet->cross_width) {
    return REFUSE("the control net takes text of width %d, the model gives %d", net->cross_width,
                  unet->cross_width);
  }
  if (net->addition.sizes > 0 &&
      memcmp(&net->addition, &unet->addition, sizeof net->addition) != 0) {
    return REFUSE("the control net is told %d values beside the prompt, the model %d",
                  addition_inputs(&net->addition), addition_inputs(&unet->addition));
  }
  return OK;
}

/* What the code itself has room for, or can do. */
static enum status check_sizes(const struct control_facts *facts) {
  const struct unet_facts *net = &facts->unet;
  int skips = net->levels * (net->layers_per_block + 1) + 1; /* the middle counted */
  if (skips > CONTROL_SKIPS_MAX) {
    return REFUSE("the control net adds to %d places, at most %d are implemented", skips,
                  CONTROL_SKIPS_MAX);
  }
  for (int i = 0; i < net->levels && facts->pools; i++) {
    int head = net->channels[0] / net->heads[0];
    if (net->channels[i] % head != 0) {
      return REFUSE("global_pool_conditions: %d channels are not a multiple of %d",
                    net->channels[i], head);
    }
  }
  return OK;
}

enum status control_facts_fit(const struct control_facts *facts, const struct family *family) {
  const struct unet_facts *net = &facts->unet;
  TRY(check_sizes(facts));
  TRY(fit_levels(net, &family->unet));
  TRY(fit_text(net, &family->unet));
  if (net->in_channels != family->vae.latent_channels) {
    return REFUSE("the control net takes latents of %d channels, the model's have %d",
                  net->in_channels, family->vae.latent_channels);
  }
  int factor = facts->hint_levels > 0 ? 1 << (facts->hint_levels - 1) : family->scale_factor;
  if (factor != family->scale_factor) {
    return REFUSE("the control net takes pictures of %d pixels a cell, the model's have %d", factor,
                  family->scale_factor);
  }
  return OK;
}
