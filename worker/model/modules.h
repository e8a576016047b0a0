/* modules.h - what adapters may change of a model: every linear layer, convolution and norm of its
 * U-Net and text encoders (not of the VAE or a control net), by the names of diffusers and
 * transformers.
 *
 * The loader fills the list while it loads, so that no second list of names exists. A pass knows a
 * module by what it holds on the device: the packed weight, or a norm's gamma.
 */
#ifndef DARKROOM_WORKER_MODEL_MODULES_H
#define DARKROOM_WORKER_MODEL_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "worker/model/source.h"

enum module_kind {
  MODULE_LINEAR, /* a matrix [outputs, inputs]; also a 1x1 convolution */
  MODULE_CONV,   /* 3x3 */
  MODULE_NORM    /* gamma and beta [outputs] */
};

struct module {
  const char *name; /* "down_blocks.0.attentions.0.proj_in" */
  enum network network;
  enum module_kind kind;
  int64_t outputs, inputs;
  bool bias;
  int part, parts;  /* its place among the modules packed side by side in one weight (q, k, v) */
  const void *held; /* by which a pass knows it; NULL: nowhere */
  const void *doubling; /* a convolution's other weight, for op_upsample_conv; NULL: none */
  float epsilon;        /* of a norm, */
  int groups;           /* and its groups */
};

struct module_list;

/* An empty list in the arena, whose modules get the numbers 0, 1, 2, ... */
enum status modules_open(struct arena *arena, struct module_list **out);
/* Adds one; the name is copied. EXHAUSTED. */
enum status modules_add(struct module_list *modules, const struct module *module);
/* To be called when all are there: from then on they are found by what they hold. */
enum status modules_seal(struct module_list *modules);

size_t modules_count(const struct module_list *modules);
const struct module *modules_at(const struct module_list *modules, int index);
/* The number of the module of that name; -1: none. */
int modules_find(const struct module_list *modules, enum network network, const char *name);
/* The number of the first module that this weight (or gamma) is made of; -1: none. */
int modules_holding(const struct module_list *modules, const void *held);

#endif
