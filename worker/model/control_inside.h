/* control_inside.h - a control net's parts, for the files that are one with control.c. */
#ifndef DARKROOM_WORKER_MODEL_CONTROL_INSIDE_H
#define DARKROOM_WORKER_MODEL_CONTROL_INSIDE_H

#include "base/limits.h"
#include "worker/model/control.h"
#include "worker/model/lone.h"
#include "worker/model/unet_half.h"

#define CONTROL_HINT_LEVELS_MAX 8
#define CONTROL_HINT_LAYERS_MAX (2 * CONTROL_HINT_LEVELS_MAX)

struct control_facts {
  struct unet_facts unet;
  int hint_levels; /* 0: to be measured, a single file has no config */
  int hint_channels[CONTROL_HINT_LEVELS_MAX];
  bool blue_first; /* the net was trained on pictures with blue, green, red */
  bool pools;      /* what it says of a skip is its mean over all pixels */
};

/* Its picture's net: 3x3 convolutions, SiLU between, from the picture's size to the latents'. */
struct control_hint_layer {
  struct weight *conv;
  bool halves;
};
struct control {
  struct lone lone;
  struct control_facts facts;
  struct unet_half half;
  struct control_hint_layer hint[CONTROL_HINT_LAYERS_MAX];
  int hint_layers;
  struct weight *zero[CONTROL_SKIPS_MAX]; /* of each skip, and of the middle behind them */
  int skips;                              /* the middle counted */
  struct tensor zeros; /* activations [BATCH_ROWS_MAX, 1, widest]: a query that weighs all alike;
                          without data where nothing is pooled */
};

/* Reads the folder's config.json, or without one what the family says. BAD_INPUT (field "config" or
 * "control"). */
enum status control_facts_read(const struct model_source *source, const struct family *family,
                               struct control_facts *out);
enum status control_facts_fit(const struct control_facts *facts, const struct family *family);

/* All tensors of the net, each once. */
enum status control_load(struct loader *loader, struct control *control);

#endif
