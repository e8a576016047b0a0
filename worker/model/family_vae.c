/* family_vae.c - vae/config.json. */
#include <stddef.h>

#include "worker/model/family_configs.h"

struct vae_config {
  struct vae_facts facts;
  struct config_list channels, down, up;
  struct config_numbers shift, mean, deviation;
  double scaling_factor;
  bool overflows; /* in f16 */
};
#define VAE(member) offsetof(struct vae_config, member)
static const struct config_key vae_keys[] = {
    {"block_out_channels", CONFIG_INTEGERS, VAE(channels), 1, WIDTH_MAX, .standard = NULL},
    {"down_block_types", CONFIG_WORDS, VAE(down), .accepted = "'DownEncoderBlock2D'"},
    {"up_block_types", CONFIG_WORDS, VAE(up), .accepted = "'UpDecoderBlock2D'"},
    {"layers_per_block", CONFIG_INTEGER, VAE(facts.layers_per_block), 1, 16, .standard = "1"},
    {"latent_channels", CONFIG_INTEGER, VAE(facts.latent_channels), 1, VAE_CHANNELS_MAX,
     .standard = "4"},
    {"norm_num_groups", CONFIG_INTEGER, VAE(facts.groups), 1, GROUP_WIDTH_MAX, .standard = "32"},
    {"scaling_factor", CONFIG_NUMBER, VAE(scaling_factor), 1e-6, 1e6, .standard = "0.18215"},
    {"mid_block_add_attention", CONFIG_FLAG, VAE(facts.mid_attention), .standard = "true"},
    {"use_quant_conv", CONFIG_FLAG, VAE(facts.quant), .standard = "true"},
    {"use_post_quant_conv", CONFIG_FLAG, VAE(facts.post_quant), .standard = "true"},
    {"_class_name", CONFIG_ONLY, .accepted = "'AutoencoderKL'"},
    {"out_channels", CONFIG_ONLY, .accepted = "3"},
    {"act_fn", CONFIG_ONLY, .accepted = "'silu'|'swish'"},
    {"shift_factor", CONFIG_NUMBERS, VAE(shift), -1e6, 1e6, .standard = "null"},
    {"latents_mean", CONFIG_NUMBERS, VAE(mean), -1e6, 1e6, .standard = "null"},
    {"latents_std", CONFIG_NUMBERS, VAE(deviation), 1e-6, 1e6, .standard = "null"},
    {"force_upcast", CONFIG_FLAG, VAE(overflows), .standard = "false"},
    {"in_channels", CONFIG_ONLY, .accepted = "3"},
    {"sample_size", .kind = CONFIG_ANY}, /* diffusers' tiles; ours are of no influence */
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

/* latents_mean and latents_std as the XL pipelines use them: z = deviation / scaling_factor *
 * latent + mean; shift_factor is a mean of all channels alike, as AutoencoderKL's documentation has
 * it. */
static enum status take_standard(const struct vae_config *config, struct vae_facts *out) {
  int channels = out->latent_channels;
  bool own = config->mean.count > 0 || config->deviation.count > 0;
  if (own && (config->mean.count != channels || config->deviation.count != channels)) {
    return fail_field(BAD_INPUT, "config",
                      "vae/config.json: latents_mean has %d values and latents_std %d, "
                      "latent_channels is %d",
                      config->mean.count, config->deviation.count, channels);
  }
  if (config->shift.count > 1) {
    return fail_field(BAD_INPUT, "config", "vae/config.json: shift_factor is a list");
  }
  double shift = config->shift.count == 1 ? config->shift.value[0] : 0;
  out->standardized = own || shift != 0;
  for (int i = 0; i < channels; i++) {
    out->mean[i] = (float)(shift + (own ? config->mean.value[i] : 0));
    out->deviation[i] = own ? (float)config->deviation.value[i] : 1;
  }
  return OK;
}
_Static_assert(VAE_CHANNELS_MAX <= CONFIG_NUMBERS_MAX, "a number for each channel can be given");

enum status vae_read(const char *folder, struct vae_facts *out) {
  static const char name[] = "vae/config.json";
  struct vae_config config = {0};
  TRY(config_read(folder, name, vae_keys, &config));
  struct vae_facts facts = config.facts;
  facts.scaling_factor = (float)config.scaling_factor;
  facts.precision = config.overflows ? PRECISION_RANGE : PRECISION_FAST;
  TRY(take_standard(&config, &facts));
  TRY(levels_read(name, &config.channels, facts.groups, &facts.levels, facts.channels));
  if (config.down.count != facts.levels) {
    return levels_refuse(name, "down_block_types", config.down.count, facts.levels);
  }
  if (config.up.count != facts.levels) {
    return levels_refuse(name, "up_block_types", config.up.count, facts.levels);
  }
  *out = facts;
  return OK;
}
