/* family.c - the tables of known keys, and what their values become.
 *
 * The keys are those that diffusers 0.35 and transformers 4.57 write; each row says what of it is
 * implemented.
 */
#include "worker/model/family.h"

#include <stddef.h>

#include "worker/model/config.h"

#define WIDTH_MAX 16384
#define GROUP_WIDTH_MAX 4096
#define SIDE_MAX 4096

/* ---- model_index.json ---- */

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

/* ---- text_encoder/config.json ---- */

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
    {"architectures", CONFIG_ONLY, .accepted = "[\"CLIPTextModel\"]"},
    {"model_type", CONFIG_ONLY, .accepted = "'clip_text_model'"},
    /* token ids: the tokenizer's own files say them; these are often wrong (SD 1.5 writes 0 and 2)
     */
    {"bos_token_id", .kind = CONFIG_ANY},
    {"eos_token_id", .kind = CONFIG_ANY},
    {"pad_token_id", .kind = CONFIG_ANY},
    /* training, or the pooled output, which SD 1.x does not use */
    {"attention_dropout", .kind = CONFIG_ANY},
    {"dropout", .kind = CONFIG_ANY},
    {"initializer_factor", .kind = CONFIG_ANY},
    {"initializer_range", .kind = CONFIG_ANY},
    {"projection_dim", .kind = CONFIG_ANY},
    /* how the file was written */
    {"_name_or_path", .kind = CONFIG_ANY},
    {"_attn_implementation_autoset", .kind = CONFIG_ANY},
    {"dtype", .kind = CONFIG_ANY},
    {"torch_dtype", .kind = CONFIG_ANY},
    {"transformers_version", .kind = CONFIG_ANY},
    {.key = NULL},
};

static enum status clip_read(const char *folder, struct clip_facts *out) {
  struct clip_config config = {0};
  TRY(config_read(folder, "text_encoder/config.json", clip_keys, &config));
  *out = config.facts;
  out->epsilon = (float)config.epsilon;
  out->activation = config.activation == 0 ? ACTIVATION_QUICK_GELU : ACTIVATION_GELU;
  if (out->width % out->heads != 0) {
    return fail_field(BAD_INPUT, "config",
                      "text_encoder/config.json: hidden_size %d is not a multiple of %d heads",
                      out->width, out->heads);
  }
  return OK;
}

/* ---- unet/config.json ---- */

struct unet_config {
  struct unet_facts facts;
  struct config_list channels, down, up, heads, transformer_layers;
  double epsilon;
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
    {"layers_per_block", CONFIG_INTEGER, UNET(facts.layers_per_block), 1, 16, .standard = "2"},
    {"attention_head_dim", CONFIG_INTEGERS, UNET(heads), 1, 256, .standard = "8"},
    {"transformer_layers_per_block", CONFIG_INTEGERS, UNET(transformer_layers), 1, 32,
     .standard = "1"},
    {"cross_attention_dim", CONFIG_INTEGER, UNET(facts.cross_width), 1, WIDTH_MAX,
     .standard = "1280"},
    {"norm_num_groups", CONFIG_INTEGER, UNET(facts.groups), 1, GROUP_WIDTH_MAX, .standard = "32"},
    {"norm_eps", CONFIG_NUMBER, UNET(epsilon), 0, 1, .standard = "1e-5"},
    {"_class_name", CONFIG_ONLY, .accepted = "'UNet2DConditionModel'"},
    {"num_attention_heads", CONFIG_ONLY, .accepted = "null"}, /* diffusers refuses it as well */
    {"use_linear_projection", CONFIG_ONLY,
     .accepted = "false|true"}, /* the same arithmetic; shapes are read alike */
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
    {"projection_class_embeddings_input_dim", CONFIG_ONLY, .accepted = "null"},
    {"addition_embed_type", CONFIG_ONLY, .accepted = "null"},
    {"addition_time_embed_dim", CONFIG_ONLY, .accepted = "null"},
    {"addition_embed_type_num_heads",
     .kind = CONFIG_ANY}, /* of an addition embedding, refused above */
    {"resnet_time_scale_shift", CONFIG_ONLY, .accepted = "'default'"},
    {"resnet_skip_time_act", CONFIG_ONLY, .accepted = "false"},
    {"resnet_out_scale_factor", CONFIG_ONLY, .accepted = "1"},
    {"time_embedding_type", CONFIG_ONLY, .accepted = "'positional'"},
    {"time_embedding_dim", CONFIG_ONLY, .accepted = "null"},
    {"time_embedding_act_fn", CONFIG_ONLY, .accepted = "null"},
    {"timestep_post_act", CONFIG_ONLY, .accepted = "null"},
    {"time_cond_proj_dim", CONFIG_ONLY, .accepted = "null"},
    {"conv_in_kernel", CONFIG_ONLY, .accepted = "3"},
    {"conv_out_kernel", CONFIG_ONLY, .accepted = "3"},
    {"upcast_attention", CONFIG_ONLY,
     .accepted = "null|false|true"}, /* scores are always kept in f32 */
    {"dropout", .kind = CONFIG_ANY}, /* training */
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

static enum status refuse_levels(const char *name, const char *key, int count, int levels) {
  return fail_field(BAD_INPUT, "config", "%s: %s has %d entries, block_out_channels %d", name, key,
                    count, levels);
}

/* One value per level out of a list, or the one value for all. */
static enum status spread(const char *key, const struct config_list *list, int levels, int *out) {
  if (!list->scalar && list->count != levels) {
    return refuse_levels("unet/config.json", key, list->count, levels);
  }
  for (int i = 0; i < levels; i++) {
    out[i] = list->scalar ? list->value[0] : list->value[i];
  }
  return OK;
}

static enum status read_levels(const char *name, const struct config_list *channels, int groups,
                               int *levels, int *out) {
  if (channels->scalar || channels->count < 1 || channels->count > UNET_LEVELS_MAX) {
    return fail_field(BAD_INPUT, "config", "%s: block_out_channels must be a list of 1 to %d", name,
                      UNET_LEVELS_MAX);
  }
  *levels = channels->count;
  for (int i = 0; i < channels->count; i++) {
    out[i] = channels->value[i];
    if (out[i] % groups != 0) {
      return fail_field(BAD_INPUT, "config",
                        "%s: %d channels are not a multiple of norm_num_groups %d", name, out[i],
                        groups);
    }
  }
  return OK;
}

static enum status unet_lists(const struct unet_config *config, struct unet_facts *out) {
  static const char name[] = "unet/config.json";
  TRY(read_levels(name, &config->channels, out->groups, &out->levels, out->channels));
  if (config->down.count != out->levels) {
    return refuse_levels(name, "down_block_types", config->down.count, out->levels);
  }
  if (config->up.count != out->levels) {
    return refuse_levels(name, "up_block_types", config->up.count, out->levels);
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

static enum status unet_read(const char *folder, struct unet_facts *out) {
  struct unet_config config = {0};
  TRY(config_read(folder, "unet/config.json", unet_keys, &config));
  *out = config.facts;
  out->epsilon = (float)config.epsilon;
  return unet_lists(&config, out);
}

/* ---- vae/config.json ---- */

struct vae_config {
  struct vae_facts facts;
  struct config_list channels, up;
  double scaling_factor;
  bool overflows; /* in f16 */
};
#define VAE(member) offsetof(struct vae_config, member)
static const struct config_key vae_keys[] = {
    {"block_out_channels", CONFIG_INTEGERS, VAE(channels), 1, WIDTH_MAX, .standard = NULL},
    {"up_block_types", CONFIG_WORDS, VAE(up), .accepted = "'UpDecoderBlock2D'"},
    {"layers_per_block", CONFIG_INTEGER, VAE(facts.layers_per_block), 1, 16, .standard = "1"},
    {"latent_channels", CONFIG_INTEGER, VAE(facts.latent_channels), 1, 64, .standard = "4"},
    {"norm_num_groups", CONFIG_INTEGER, VAE(facts.groups), 1, GROUP_WIDTH_MAX, .standard = "32"},
    {"scaling_factor", CONFIG_NUMBER, VAE(scaling_factor), 1e-6, 1e6, .standard = "0.18215"},
    {"mid_block_add_attention", CONFIG_FLAG, VAE(facts.mid_attention), .standard = "true"},
    {"use_post_quant_conv", CONFIG_FLAG, VAE(facts.post_quant), .standard = "true"},
    {"_class_name", CONFIG_ONLY, .accepted = "'AutoencoderKL'"},
    {"out_channels", CONFIG_ONLY, .accepted = "3"},
    {"act_fn", CONFIG_ONLY, .accepted = "'silu'|'swish'"},
    {"shift_factor", CONFIG_ONLY, .accepted = "null"},
    {"latents_mean", CONFIG_ONLY, .accepted = "null"},
    {"latents_std", CONFIG_ONLY, .accepted = "null"},
    {"force_upcast", CONFIG_FLAG, VAE(overflows), .standard = "false"},
    /* the encoder, which is not built */
    {"in_channels", .kind = CONFIG_ANY},
    {"down_block_types", .kind = CONFIG_ANY},
    {"use_quant_conv", .kind = CONFIG_ANY},
    {"sample_size", .kind = CONFIG_ANY}, /* the tile size of tiled decoding, which is not done */
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

static enum status vae_read(const char *folder, struct vae_facts *out) {
  static const char name[] = "vae/config.json";
  struct vae_config config = {0};
  TRY(config_read(folder, name, vae_keys, &config));
  *out = config.facts;
  out->scaling_factor = (float)config.scaling_factor;
  out->precision = config.overflows ? PRECISION_RANGE : PRECISION_FAST;
  TRY(read_levels(name, &config.channels, out->groups, &out->levels, out->channels));
  return config.up.count == out->levels
             ? OK
             : refuse_levels(name, "up_block_types", config.up.count, out->levels);
}

/* ---- scheduler/scheduler_config.json ---- */

struct noise_config {
  struct noise_facts facts;
  int schedule, prediction, spacing;
};
#define NOISE(member) offsetof(struct noise_config, member)
/* The file's class only says which sampler its author liked: a job names its own. So the facts of
 * the noise are read, and values that belong to another way of sampling than ours are refused
 * unless they are the usual ones. */
static const struct config_key noise_keys[] = {
    {"_class_name", CONFIG_ONLY,
     .accepted = "'DDIMScheduler'|'PNDMScheduler'|'EulerDiscreteScheduler'|'"
                 "EulerAncestralDiscreteScheduler'|"
                 "'DPMSolverMultistepScheduler'|'DDPMScheduler'"},
    {"num_train_timesteps", CONFIG_INTEGER, NOISE(facts.train_timesteps), 1, TRAIN_TIMESTEPS_MAX,
     .standard = "1000"},
    {"beta_start", CONFIG_NUMBER, NOISE(facts.beta_start), 1e-8, 0.999, .standard = "0.0001"},
    {"beta_end", CONFIG_NUMBER, NOISE(facts.beta_end), 1e-8, 0.999, .standard = "0.02"},
    {"beta_schedule", CONFIG_WORD, NOISE(schedule),
     .accepted = "'linear'|'scaled_linear'|'squaredcos_cap_v2'", .standard = "'linear'"},
    {"prediction_type", CONFIG_WORD, NOISE(prediction),
     .accepted = "'epsilon'|'v_prediction'|'sample'", .standard = "'epsilon'"},
    {"timestep_spacing", CONFIG_WORD, NOISE(spacing),
     .accepted = "null|'leading'|'linspace'|'trailing'", .standard = "null"},
    {"set_alpha_to_one", CONFIG_FLAG, NOISE(facts.set_alpha_to_one), .standard = "true"},
    {"rescale_betas_zero_snr", CONFIG_FLAG, NOISE(facts.rescale_zero_snr), .standard = "false"},
    {"steps_offset", CONFIG_ONLY, .accepted = "0|1"}, /* see noise_read */
    {"trained_betas", CONFIG_ONLY, .accepted = "null"},
    {"thresholding", CONFIG_ONLY, .accepted = "false"},
    {"interpolation_type", CONFIG_ONLY, .accepted = "'linear'"},
    {"timestep_type", CONFIG_ONLY, .accepted = "'discrete'"},
    {"sigma_min", CONFIG_ONLY, .accepted = "null"},
    {"sigma_max", CONFIG_ONLY, .accepted = "null"},
    {"final_sigmas_type", CONFIG_ONLY, .accepted = "'zero'"},
    {"solver_order", CONFIG_ONLY, .accepted = "2"},
    {"algorithm_type", CONFIG_ONLY, .accepted = "'dpmsolver++'"},
    {"solver_type", CONFIG_ONLY, .accepted = "'midpoint'"},
    {"lower_order_final", CONFIG_ONLY, .accepted = "true"},
    {"euler_at_final", CONFIG_ONLY, .accepted = "false"},
    {"use_karras_sigmas", CONFIG_ONLY, .accepted = "null|false|true"}, /* the job says it */
    {"use_exponential_sigmas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_beta_sigmas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_flow_sigmas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_lu_lambdas", CONFIG_ONLY, .accepted = "null|false"},
    {"use_dynamic_shifting", CONFIG_ONLY, .accepted = "null|false"},
    {"lambda_min_clipped", CONFIG_ONLY, .accepted = "null"}, /* -Infinity, masked */
    {"variance_type", .kind = CONFIG_ANY},  /* DDPM's own noise, a sampler that we do not offer */
    {"skip_prk_steps", .kind = CONFIG_ANY}, /* PNDM alike */
    {"clip_sample", .kind = CONFIG_ANY},    /* the SD pipeline turns it off whatever it says */
    {"clip_sample_range", .kind = CONFIG_ANY},
    {"sample_max_value", .kind = CONFIG_ANY}, /* of thresholding, refused above */
    {"dynamic_thresholding_ratio", .kind = CONFIG_ANY},
    {"flow_shift", .kind = CONFIG_ANY}, /* of flow sigmas, refused above */
    {"time_shift_type", .kind = CONFIG_ANY},
    {"_diffusers_version", .kind = CONFIG_ANY},
    {.key = NULL},
};

static enum status noise_read(const char *folder, struct noise_facts *out) {
  struct noise_config config = {0};
  TRY(config_read(folder, "scheduler/scheduler_config.json", noise_keys, &config));
  *out = config.facts;
  out->beta_schedule = (enum beta_schedule)config.schedule;
  out->prediction = (enum prediction)config.prediction;
  out->spacing = (enum spacing)config.spacing;
  /* diffusers' StableDiffusionPipeline sets the offset to 1 whatever the file says, and the same
   * seed shall give the same picture. */
  out->steps_offset = 1;
  return OK;
}
_Static_assert(BETAS_LINEAR == 0 && BETAS_SCALED_LINEAR == 1 && BETAS_SQUARED_COSINE == 2,
               "order of beta_schedule");
_Static_assert(PREDICTION_EPSILON == 0 && PREDICTION_V == 1 && PREDICTION_SAMPLE == 2,
               "order of prediction_type");
_Static_assert(SPACING_DEFAULT == 0 && SPACING_LEADING == 1 && SPACING_LINSPACE == 2 &&
                   SPACING_TRAILING == 3,
               "order of timestep_spacing");

/* ---- the whole ---- */

/* What each file says alone is right by now; this is about what they say of each other. */
static enum status check_together(const struct family *family) {
  const struct unet_facts *unet = &family->unet;
  if (unet->cross_width != family->clip.width) {
    return fail_field(BAD_INPUT, "config",
                      "unet/config.json: cross_attention_dim %d, but the text encoder gives %d",
                      unet->cross_width, family->clip.width);
  }
  if (unet->in_channels != family->vae.latent_channels ||
      unet->out_channels != family->vae.latent_channels) {
    return fail_field(
        BAD_INPUT, "config",
        "unet/config.json: in_channels %d and out_channels %d must be the VAE's latent_channels %d",
        unet->in_channels, unet->out_channels, family->vae.latent_channels);
  }
  return OK;
}

enum status family_read(const char *folder, struct family *out) {
  struct family family = {.name = "sd1"};
  struct index index = {0};
  TRY(config_read(folder, "model_index.json", index_keys, &index));
  family.prompt = index.tokenizer == 0 ? PROMPT_PLAIN : PROMPT_FAST;
  TRY(clip_read(folder, &family.clip));
  TRY(unet_read(folder, &family.unet));
  TRY(vae_read(folder, &family.vae));
  TRY(noise_read(folder, &family.noise));
  family.scale_factor = 1 << (family.vae.levels - 1);
  TRY(check_together(&family));
  *out = family;
  return OK;
}
