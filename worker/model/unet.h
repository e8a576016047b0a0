/* unet.h - the cross-attention U-Net of Stable Diffusion 1 (Rombach et al. 2022; diffusers'
 * UNet2DConditionModel). */
#ifndef DARKROOM_WORKER_MODEL_UNET_H
#define DARKROOM_WORKER_MODEL_UNET_H

#include "worker/model/blocks.h"
#include "worker/model/family.h"
#include "worker/model/loader.h"
#include "worker/model/model.h"
#include "worker/model/pass.h"

/* One level on the way down or up: `layers` residual blocks, each with a transformer if the level
 * attends. */
struct unet_block {
  int64_t channels;
  int layers;
  struct resnet *resnet;
  struct transformer *transformer; /* NULL: no attention */
  struct weight
      *resample; /* down: the stride-2 convolution; up: the one after growing; NULL at the end */
  struct weight *doubling; /* up: the same, for a growth to exactly twice the size */
};
struct unet {
  const struct unet_facts *facts;
  struct weight *time1, *time2, *conv_in, *conv_out;
  struct unet_block down[UNET_LEVELS_MAX], up[UNET_LEVELS_MAX];
  struct resnet mid_resnet[2];
  struct transformer mid_transformer;
  struct norm norm_out;
  int64_t context_columns; /* keys and values of all layers, per token of a prompt */
};

/* facts are borrowed for as long as the U-Net lives. */
enum status unet_load(struct loader *loader, const struct unet_facts *facts, struct unet *unet);
/* Fills conditioning->keys_values, taken by the caller, from its embedding. */
enum status unet_condition(const struct pass *pass, const struct unet *unet,
                           const struct conditioning *conditioning);
/* See model_predict. In a dry pass only the shape of predict->input counts. */
enum status unet_run(const struct pass *pass, const struct unet *unet,
                     const struct predict *predict);

#endif
