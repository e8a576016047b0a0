/* unet_half_load.c - names and widths of the layers on the way down and in the middle, as
 * diffusers' UNet2DConditionModel builds them. */
#include "worker/model/unet_half.h"

/* The time embedding is this many times as wide as the first level. */
#define TIME_FACTOR 4

struct resnet_shape unet_resnet_shape(const struct unet_facts *facts, int64_t inputs,
                                      int64_t outputs) {
  return (struct resnet_shape){inputs, outputs, TIME_FACTOR * facts->channels[0], facts->groups,
                               facts->epsilon};
}

static struct transformer_shape transformer_of(const struct unet_facts *facts, int level) {
  return (struct transformer_shape){.channels = facts->channels[level],
                                    .cross_width = facts->cross_width,
                                    .heads = facts->heads[level],
                                    .layers = facts->transformer_layers[level],
                                    .groups = facts->groups};
}

enum status unet_block_open(struct loader *loader, int64_t channels, int layers, bool attention,
                            struct unet_block *out) {
  struct unet_block block = {.channels = channels, .layers = layers};
  block.resnet = arena_take(loader->host, (size_t)layers * sizeof *block.resnet);
  if (attention) {
    block.transformer = arena_take(loader->host, (size_t)layers * sizeof *block.transformer);
  }
  if (block.resnet == NULL || (attention && block.transformer == NULL)) {
    return EXHAUSTED;
  }
  *out = block;
  return OK;
}

enum status unet_attention_load(struct loader *loader, const struct unet_facts *facts, int level,
                                const char *prefix, int64_t *context_columns,
                                struct unet_block *block) {
  for (int i = 0; i < block->layers && block->transformer != NULL; i++) {
    TRY(transformer_load(loader, name_of("%s.attentions.%d", prefix, i).text,
                         transformer_of(facts, level), context_columns, &block->transformer[i]));
  }
  return OK;
}

static enum status load_down(struct loader *loader, const struct unet_facts *facts, int level,
                             struct unet_half *half) {
  struct unet_block *block = &half->down[level];
  struct module_name prefix = name_of("down_blocks.%d", level);
  int64_t channels = facts->channels[level];
  int64_t before = level > 0 ? facts->channels[level - 1] : facts->channels[0];
  TRY(unet_block_open(loader, channels, facts->layers_per_block, facts->attention_down[level],
                      block));
  for (int i = 0; i < block->layers; i++) {
    TRY(resnet_load(loader, name_of("%s.resnets.%d", prefix.text, i).text,
                    unet_resnet_shape(facts, i == 0 ? before : channels, channels),
                    &block->resnet[i]));
  }
  TRY(unet_attention_load(loader, facts, level, prefix.text, &half->context_columns, block));
  if (level == facts->levels - 1) {
    return OK;
  }
  return load_conv(loader, name_of("%s.downsamplers.0.conv", prefix.text).text, channels, channels,
                   &block->resample);
}

static enum status load_middle(struct loader *loader, const struct unet_facts *facts,
                               struct unet_half *half) {
  int64_t channels = facts->channels[facts->levels - 1];
  struct resnet_shape shape = unet_resnet_shape(facts, channels, channels);
  TRY(resnet_load(loader, "mid_block.resnets.0", shape, &half->mid_resnet[0]));
  TRY(transformer_load(loader, "mid_block.attentions.0", transformer_of(facts, facts->levels - 1),
                       &half->context_columns, &half->mid_transformer));
  return resnet_load(loader, "mid_block.resnets.1", shape, &half->mid_resnet[1]);
}

static enum status load_time(struct loader *loader, const struct unet_facts *facts,
                             struct unet_half *out) {
  int64_t width = facts->channels[0];
  struct matrix_shape first = {TIME_FACTOR * width, width, true};
  struct matrix_shape second = {TIME_FACTOR * width, TIME_FACTOR * width, true};
  if (facts->guidance_width > 0) {
    struct matrix_shape guidance = {width, facts->guidance_width, false};
    TRY(load_matrix(loader, "time_embedding.cond_proj", guidance, &out->guidance));
  }
  TRY(load_matrix_bare(loader, "time_embedding.linear_1", first, &out->time1,
                       facts->guidance_width > 0 ? &out->time1_bare : NULL));
  return load_matrix(loader, "time_embedding.linear_2", second, &out->time2);
}

static enum status load_addition(struct loader *loader, const struct unet_facts *facts,
                                 struct unet_half *out) {
  int64_t width = TIME_FACTOR * facts->channels[0];
  if (facts->addition.sizes == 0) {
    return OK;
  }
  TRY(load_matrix(loader, "add_embedding.linear_1",
                  (struct matrix_shape){width, addition_inputs(&facts->addition), true},
                  &out->add1));
  return load_matrix(loader, "add_embedding.linear_2", (struct matrix_shape){width, width, true},
                     &out->add2);
}

enum status unet_half_load(struct loader *loader, const struct unet_facts *facts,
                           struct unet_half *half) {
  *half = (struct unet_half){.facts = facts};
  TRY(load_time(loader, facts, half));
  TRY(load_addition(loader, facts, half));
  TRY(load_conv(loader, "conv_in", facts->channels[0], facts->in_channels, &half->conv_in));
  for (int level = 0; level < facts->levels; level++) {
    TRY(load_down(loader, facts, level, half));
  }
  return load_middle(loader, facts, half);
}
