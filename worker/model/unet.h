/* unet.h - the cross-attention U-Net of Stable Diffusion (Rombach et al. 2022; diffusers'
 * UNet2DConditionModel). */
#ifndef DARKROOM_WORKER_MODEL_UNET_H
#define DARKROOM_WORKER_MODEL_UNET_H

#include "worker/model/model.h"
#include "worker/model/unet_half.h"

struct unet {
  const struct unet_facts *facts;
  struct unet_half half; /* down and middle; context_columns counts the way up, too */
  struct unet_block up[UNET_LEVELS_MAX];
  struct norm norm_out;
  struct weight *conv_out;
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
