/* blocks.h - residual and transformer blocks, shared by the U-Net and the VAE. */
#ifndef DARKROOM_WORKER_MODEL_BLOCKS_H
#define DARKROOM_WORKER_MODEL_BLOCKS_H

#include "kernels/rows.h"
#include "worker/model/condition.h"
#include "worker/model/loader.h"
#include "worker/model/pass.h"

/* ---- ResnetBlock2D ---- */

struct resnet_shape {
  int64_t inputs, outputs;
  int64_t time_width; /* of the time embedding; 0: none */
  int groups;
  float epsilon;
};
struct resnet {
  int64_t inputs, outputs;
  struct norm norm1, norm2;
  struct weight *conv1, *conv2;
  struct weight *time;     /* NULL: none */
  struct weight *shortcut; /* NULL when inputs equal outputs */
};
enum status resnet_load(struct loader *loader, const char *name, struct resnet_shape shape,
                        struct resnet *out);
/* y[B, H, W, outputs] = shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x))) + time))). time_silu
 * is silu of the time embedding [B, time_width], NULL for none. */
enum status resnet_run(const struct pass *pass, const struct resnet *resnet, const struct tensor *x,
                       const struct tensor *time_silu, const struct tensor *y);

/* ---- Transformer2DModel ---- */

struct transformer_shape {
  int64_t channels, cross_width;
  int heads, layers, groups;
};
struct transformer_layer {
  struct norm norm1, norm2, norm3;
  struct weight *qkv, *self_out;              /* self attention: q, k, v side by side */
  struct weight *q, *keys_values, *cross_out; /* cross attention: keys and values side by side */
  struct weight *feed_in, *feed_out;
  int64_t context_column; /* keys and values of all layers before this one, per token */
};
struct transformer {
  int64_t channels;
  int heads, layers;
  struct norm norm;
  struct weight *proj_in, *proj_out;
  struct transformer_layer *layer;
};
/* *context_column is where this transformer's keys and values begin, and is moved to where they
 * end. */
enum status transformer_load(struct loader *loader, const char *name,
                             struct transformer_shape shape, int64_t *context_column,
                             struct transformer *out);
/* x[B, H, W, C] is replaced. rows: B on the device, of whom the contexts are looked at. */
enum status transformer_run(const struct pass *pass, const struct transformer *transformer,
                            const struct batch_row *rows, const struct tensor *x);
/* Computes the keys and values of every layer from a prompt's embedding into
 * conditioning->keys_values. */
enum status transformer_condition(const struct pass *pass, const struct transformer *transformer,
                                  const struct conditioning *conditioning);

#endif
