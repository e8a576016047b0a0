/* unet_load.c - names and widths of the layers on the way up, as diffusers' UNet2DConditionModel
 * builds them. */
#include "worker/model/unet.h"

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
  TRY(unet_block_open(loader, channels, facts->layers_per_block + 1, facts->attention_up[i],
                      block));
  for (int j = 0; j < block->layers; j++) {
    int64_t skip = j == block->layers - 1 ? above : channels;
    TRY(resnet_load(loader, name_of("%s.resnets.%d", prefix.text, j).text,
                    unet_resnet_shape(facts, (j == 0 ? below : channels) + skip, channels),
                    &block->resnet[j]));
  }
  TRY(unet_attention_load(loader, facts, level, prefix.text, &unet->half.context_columns, block));
  if (level == 0) {
    return OK;
  }
  return load_growing_conv(loader, name_of("%s.upsamplers.0.conv", prefix.text).text, channels,
                           &block->resample, &block->doubling);
}

enum status unet_load(struct loader *loader, const struct unet_facts *facts, struct unet *unet) {
  struct norm_shape norm = {facts->channels[0], facts->groups, facts->epsilon};
  *unet = (struct unet){.facts = facts};
  TRY(unet_half_load(loader, facts, &unet->half));
  for (int i = 0; i < facts->levels; i++) {
    TRY(load_up(loader, facts, i, unet));
  }
  TRY(load_norm(loader, "conv_norm_out", norm, &unet->norm_out));
  return load_conv(loader, "conv_out", facts->out_channels, facts->channels[0], &unet->conv_out);
}
