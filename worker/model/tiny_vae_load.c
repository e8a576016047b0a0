/* tiny_vae_load.c - what AutoencoderTiny's config says, and its decoder's layers by name. */
#include <stddef.h>

#include "worker/model/config.h"
#include "worker/model/tiny_vae_inside.h"

#define PICTURE_CHANNELS 3
#define WIDTH_MAX 4096
#define BLOCKS_MAX 64 /* a level */

/* ---- config.json ---- */

struct tiny_config {
  struct tiny_facts facts;
  struct config_list channels, blocks;
  double scaling_factor;
};
#define TINY(member) offsetof(struct tiny_config, member)
static const struct config_key tiny_keys[] = {
    {"decoder_block_out_channels", CONFIG_INTEGERS, TINY(channels), 1, WIDTH_MAX,
     .standard = "[64, 64, 64, 64]"},
    {"num_decoder_blocks", CONFIG_INTEGERS, TINY(blocks), 1, BLOCKS_MAX,
     .standard = "[3, 3, 3, 1]"},
    {"latent_channels", CONFIG_INTEGER, TINY(facts.latent_channels), 1, 64, .standard = "4"},
    {"scaling_factor", CONFIG_NUMBER, TINY(scaling_factor), 1e-6, 1e6, .standard = "1"},
    {"_class_name", CONFIG_ONLY, .accepted = "'AutoencoderTiny'"},
    {"act_fn", CONFIG_ONLY, .accepted = "'relu'"},
    {"out_channels", CONFIG_ONLY, .accepted = "3"},
    {"shift_factor", CONFIG_ONLY, .accepted = "0|null"},
    {"upsample_fn", CONFIG_ONLY, .accepted = "'nearest'"},
    {"upsampling_scaling_factor", CONFIG_ONLY, .accepted = "2"},
    {"block_out_channels", .kind = CONFIG_ANY}, /* the decoder's once more */
    {"force_upcast", .kind = CONFIG_ANY},       /* diffusers writes false whatever was given */
    /* the encoder, which is not loaded; and latents as bytes, which nothing here keeps */
    {"encoder_block_out_channels", .kind = CONFIG_ANY},
    {"in_channels", .kind = CONFIG_ANY},
    {"num_encoder_blocks", .kind = CONFIG_ANY},
    {"latent_magnitude", .kind = CONFIG_ANY},
    {"latent_shift", .kind = CONFIG_ANY},
    {"_diffusers_version", .kind = CONFIG_ANY},
    {"_name_or_path", .kind = CONFIG_ANY},
    {.key = NULL},
};

static enum status take_lists(const struct tiny_config *config, struct tiny_facts *out) {
  int levels = config->channels.count;
  if (config->channels.scalar || config->blocks.scalar || levels > UNET_LEVELS_MAX ||
      config->blocks.count != levels) {
    return fail_field(BAD_INPUT, "config",
                      "config.json: decoder_block_out_channels and num_decoder_blocks must be "
                      "lists of one length, at most %d",
                      UNET_LEVELS_MAX);
  }
  out->levels = levels;
  for (int i = 0; i < levels; i++) {
    out->channels[i] = config->channels.value[i];
    out->blocks[i] = config->blocks.value[i];
    /* diffusers builds each level's layers with one width alone, so others could not be run */
    if (out->channels[i] != out->channels[0]) {
      return fail_field(BAD_INPUT, "config",
                        "config.json: decoder_block_out_channels %d and %d differ",
                        out->channels[0], out->channels[i]);
    }
  }
  return OK;
}

enum status tiny_facts_read(const struct model_source *source, const struct family *family,
                            struct tiny_facts *out) {
  struct tiny_config config = {0};
  const char *folder = source->file == NULL ? source->folder : source->configs;
  /* a single file without configs is TAESD's own: what an empty config means */
  TRY(folder == NULL ? config_parse("config.json", "{}", 2, tiny_keys, &config)
                     : config_read(folder, "config.json", tiny_keys, &config));
  struct tiny_facts facts = config.facts;
  facts.scaling_factor = (float)config.scaling_factor;
  TRY(take_lists(&config, &facts));
  int factor = 1 << (facts.levels - 1);
  if (facts.latent_channels != family->vae.latent_channels || factor != family->scale_factor) {
    return fail_field(BAD_INPUT, "tiny_decoder",
                      "%s decodes %d channels to %d pixels a cell, the model's latents have %d and "
                      "%d",
                      source->folder, facts.latent_channels, factor, family->vae.latent_channels,
                      family->scale_factor);
  }
  *out = facts;
  return OK;
}

/* ---- layers ---- */

static enum status load_block(struct loader *loader, int layer, int64_t channels,
                              struct tiny_block *out) {
  for (int i = 0; i < 3; i++) {
    TRY(load_conv(loader, name_of("decoder.layers.%d.conv.%d", layer, 2 * i).text, channels,
                  channels, &out->conv[i]));
  }
  return OK;
}

/* Behind doubling there is no bias. */
static enum status load_doubling(struct loader *loader, int layer, int64_t channels,
                                 struct weight **out) {
  struct weight_source source = {.doubling = true};
  TRY(weights_take(loader->file, name_of("decoder.layers.%d.weight", layer).text,
                   TENSOR_SHAPE(channels, channels, 3, 3), &source.kernel));
  return load_given(loader, &source, out);
}

/* y = 2 x - 1 of every value: a tiny decoder gives a picture of 0 to 1, the others of -1 to 1. */
static enum status widen(struct loader *loader, const struct tensor *from, float shift,
                         struct tensor *out) {
  TRY(tensor_take(loader->scratch, ELEMENT_F32, from->rank, from->shape, out));
  float *values = out->data;
  elements_to_f32(from->element, from->data, tensor_count(from), values);
  for (int64_t i = 0; i < tensor_count(out); i++) {
    values[i] = 2 * values[i] - shift;
  }
  return OK;
}

static enum status load_last(struct loader *loader, int layer, int64_t channels,
                             struct weight **out) {
  struct tensor kernel, bias;
  struct weight_source source = {0};
  TRY(weights_take(loader->file, name_of("decoder.layers.%d.weight", layer).text,
                   TENSOR_SHAPE(PICTURE_CHANNELS, channels, 3, 3), &kernel));
  TRY(weights_take(loader->file, name_of("decoder.layers.%d.bias", layer).text,
                   TENSOR_SHAPE(PICTURE_CHANNELS), &bias));
  TRY(widen(loader, &kernel, 0, &source.kernel));
  TRY(widen(loader, &bias, 1, &source.bias));
  enum status status = load_given(loader, &source, out);
  arena_drop(loader->scratch);
  return status;
}

/* *layer is the number of the next one, doublings and the first ReLU counted. */
static enum status load_level(struct loader *loader, const struct tiny_facts *facts, int level,
                              int *layer, struct tiny_level *out) {
  bool is_last = level == facts->levels - 1;
  int64_t channels = facts->channels[level];
  out->block = arena_take(loader->host, (size_t)facts->blocks[level] * sizeof *out->block);
  if (out->block == NULL) {
    return EXHAUSTED;
  }
  for (int i = 0; i < facts->blocks[level]; i++) {
    TRY(load_block(loader, (*layer)++, channels, &out->block[i]));
  }
  if (is_last) {
    return load_last(loader, *layer, channels, &out->next);
  }
  *layer += 2;
  return load_doubling(loader, *layer - 1, channels, &out->next);
}

enum status tiny_load(struct loader *loader, struct tiny_vae *tiny) {
  const struct tiny_facts *facts = &tiny->facts;
  int layer = 2;
  weights_skip(loader->file, "encoder.");
  TRY(load_conv(loader, "decoder.layers.0", facts->channels[0], facts->latent_channels,
                &tiny->conv_in));
  for (int i = 0; i < facts->levels; i++) {
    TRY(load_level(loader, facts, i, &layer, &tiny->level[i]));
  }
  return OK;
}
