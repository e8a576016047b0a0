/* unet_half.h - a U-Net's way down and its middle, with the time embedding that all of it uses:
 * the first half of the U-Net, and most of a control net (diffusers' UNet2DConditionModel,
 * ControlNetModel).
 */
#ifndef DARKROOM_WORKER_MODEL_UNET_HALF_H
#define DARKROOM_WORKER_MODEL_UNET_HALF_H

#include "worker/model/blocks.h"
#include "worker/model/family.h"
#include "worker/model/loader.h"
#include "worker/model/pass.h"

#define UNET_SKIPS_MAX (UNET_LEVELS_MAX * (UNET_LAYERS_MAX + 1) + 1)

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
struct unet_half {
  const struct unet_facts *facts;
  struct weight *time1, *time2, *conv_in;
  struct weight *guidance, *time1_bare; /* what is told of the guidance, and time1 without its bias,
                                           which that goes through; NULL: nothing is told */
  struct weight *add1, *add2;           /* of what is added to the time embedding; NULL: nothing */
  struct unet_block down[UNET_LEVELS_MAX];
  struct resnet mid_resnet[2];
  struct transformer mid_transformer;
  int64_t context_columns; /* keys and values of all layers, per token of a prompt */
};

/* What one call carries through the levels. */
struct unet_run {
  const struct pass *pass;
  const struct unet_half *half;
  const struct batch_row *rows; /* on the device; not looked at in a dry pass */
  struct tensor time_silu;      /* [B, time width] */
  struct tensor skip[UNET_SKIPS_MAX];
  int skips;
};

/* facts are borrowed for as long as the half lives. */
enum status unet_half_load(struct loader *loader, const struct unet_facts *facts,
                           struct unet_half *half);
/* Room for a level, empty; its residual blocks; its transformers, whose keys and values are counted
 * in *context_columns. */
enum status unet_block_open(struct loader *loader, int64_t channels, int layers, bool attention,
                            struct unet_block *out);
struct resnet_shape unet_resnet_shape(const struct unet_facts *facts, int64_t inputs,
                                      int64_t outputs);
enum status unet_attention_load(struct loader *loader, const struct unet_facts *facts, int level,
                                const char *prefix, int64_t *context_columns,
                                struct unet_block *block);

/* Numbers for op_add_rows that a conditioning keeps: behind time1 and behind time2. */
int64_t unet_half_added_width(const struct unet_half *half);
/* Fills them, added [1, width], taken by the caller, from guidance [1, guidance_width] and told [1,
 * addition_inputs]; each is looked at only where the half has layers for it. */
enum status unet_half_added(const struct pass *pass, const struct unet_half *half,
                            const struct tensor *guidance, const struct tensor *told,
                            const struct tensor *added);
/* Fills the half's part of conditioning->keys_values from its embedding. */
enum status unet_half_condition(const struct pass *pass, const struct unet_half *half,
                                const struct conditioning *conditioning);
enum status unet_block_condition(const struct pass *pass, const struct unet_block *block,
                                 const struct conditioning *conditioning);

/* The time embedding, and conv_in(input[B, H, W, C]) as the first skip. run has its first three
 * members; all memory is taken from the pass's arena and stays taken. */
enum status unet_half_begin(struct unet_run *run, const struct tensor *input);
/* All levels, from the skip on top: every layer's picture is a skip. */
enum status unet_half_down(struct unet_run *run);
/* The middle block of the skip on top, taken from the arena. */
enum status unet_half_middle(const struct unet_run *run, struct tensor *out);
/* One layer of a level, x -> y. */
enum status unet_layer_run(const struct unet_run *run, const struct unet_block *block, int layer,
                           const struct tensor *x, const struct tensor *y);
/* A picture [B, height, width, channels] from the arena, B as that of the first skip. */
enum status unet_take_picture(const struct unet_run *run, int64_t height, int64_t width,
                              int64_t channels, struct tensor *out);

#endif
