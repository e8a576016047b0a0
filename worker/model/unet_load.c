/* unet_load.c - names and widths of every layer, as diffusers' UNet2DConditionModel builds them. */
#include "worker/model/unet.h"

/* The time embedding is this many times as wide as the first level. */
#define TIME_FACTOR 4

static struct resnet_shape resnet_of(const struct unet_facts *facts, int64_t inputs,
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

static enum status open_block(struct loader *loader, int64_t channels, int layers, bool attention,
                              struct unet_block *out) {
  *out = (struct unet_block){.channels = channels, .layers = layers};
  out->resnet = arena_take(loader->host, (size_t)layers * sizeof *out->resnet);
  if (attention) {
    out->transformer = arena_take(loader->host, (size_t)layers * sizeof *out->transformer);
  }
  return out->resnet == NULL || (attention && out->transformer == NULL) ? EXHAUSTED : OK;
}

static enum status load_layer(struct loader *loader, const char *prefix, int layer,
                              struct resnet_shape shape, struct unet_block *out) {
  return resnet_load(loader, name_of("%s.resnets.%d", prefix, layer).text, shape,
                     &out->resnet[layer]);
}

static enum status load_attention(struct loader *loader, const char *prefix,
                                  struct transformer_shape shape, struct unet *unet,
                                  struct unet_block *out) {
  for (int i = 0; i < out->layers && out->transformer != NULL; i++) {
    TRY(transformer_load(loader, name_of("%s.attentions.%d", prefix, i).text, shape,
                         &unet->context_columns, &out->transformer[i]));
  }
  return OK;
}

static enum status load_down(struct loader *loader, const struct unet_facts *facts, int level,
                             struct unet *unet) {
  struct unet_block *block = &unet->down[level];
  struct module_name prefix = name_of("down_blocks.%d", level);
  int64_t channels = facts->channels[level];
  int64_t before = level > 0 ? facts->channels[level - 1] : facts->channels[0];
  TRY(open_block(loader, channels, facts->layers_per_block, facts->attention_down[level], block));
  for (int i = 0; i < block->layers; i++) {
    TRY(load_layer(loader, prefix.text, i, resnet_of(facts, i == 0 ? before : channels, channels),
                   block));
  }
  TRY(load_attention(loader, prefix.text, transformer_of(facts, level), unet, block));
  if (level == facts->levels - 1) {
    return OK;
  }
  return load_conv(loader, name_of("%s.downsamplers.0.conv", prefix.text).text, channels, channels,
                   &block->resample);
}

static enum status load_mid(struct loader *loader, const struct unet_facts *facts,
                            struct unet *unet) {
  int64_t channels = facts->channels[facts->levels - 1];
  struct resnet_shape shape = resnet_of(facts, channels, channels);
  TRY(resnet_load(loader, "mid_block.resnets.0", shape, &unet->mid_resnet[0]));
  TRY(transformer_load(loader, "mid_block.attentions.0", transformer_of(facts, facts->levels - 1),
                       &unet->context_columns, &unet->mid_transformer));
  return resnet_load(loader, "mid_block.resnets.1", shape, &unet->mid_resnet[1]);
}

/* Up block i mirrors the down level. Each of its layers takes a skip beside what comes from below:
 * those of the level in the opposite order, so the last is what came down from the level above. */
static enum status load_up(struct loader *loader, const struct unet_facts *facts, int i,
                           struct unet *unet) {
  struct unet_block *block = &unet->up[i];
  struct module_name prefix = name_of("up_blocks.%d", i);
  int level = facts->levels - 1 - i;
  int64_t channels = facts->channels[level];
  int64_t below = facts->channels[level + (i > 0)];
  int64_t above = facts->channels[level > 0 ? level - 1 : 0];
  TRY(open_block(loader, channels, facts->layers_per_block + 1, facts->attention_up[i], block));
  for (int j = 0; j < block->layers; j++) {
    int64_t skip = j == block->layers - 1 ? above : channels;
    TRY(load_layer(loader, prefix.text, j,
                   resnet_of(facts, (j == 0 ? below : channels) + skip, channels), block));
  }
  TRY(load_attention(loader, prefix.text, transformer_of(facts, level), unet, block));
  if (level == 0) {
    return OK;
  }
  return load_growing_conv(loader, name_of("%s.upsamplers.0.conv", prefix.text).text, channels,
                           &block->resample, &block->doubling);
}

static enum status load_ends(struct loader *loader, const struct unet_facts *facts,
                             struct unet *out) {
  int64_t width = facts->channels[0];
  struct matrix_shape first = {TIME_FACTOR * width, width, true};
  struct matrix_shape second = {TIME_FACTOR * width, TIME_FACTOR * width, true};
  struct norm_shape norm = {width, facts->groups, facts->epsilon};
  TRY(load_matrix(loader, "time_embedding.linear_1", first, &out->time1));
  TRY(load_matrix(loader, "time_embedding.linear_2", second, &out->time2));
  TRY(load_conv(loader, "conv_in", width, facts->in_channels, &out->conv_in));
  TRY(load_norm(loader, "conv_norm_out", norm, &out->norm_out));
  return load_conv(loader, "conv_out", facts->out_channels, width, &out->conv_out);
}

enum status unet_load(struct loader *loader, const struct unet_facts *facts, struct unet *unet) {
  *unet = (struct unet){.facts = facts};
  TRY(load_ends(loader, facts, unet));
  for (int level = 0; level < facts->levels; level++) {
    TRY(load_down(loader, facts, level, unet));
  }
  TRY(load_mid(loader, facts, unet));
  for (int i = 0; i < facts->levels; i++) {
    TRY(load_up(loader, facts, i, unet));
  }
  return OK;
}
