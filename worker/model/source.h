/* source.h - where a model's weights come from: a folder or one file, and what the operator says
 * of them in the model table (worker/models_table.h).
 */
#ifndef DARKROOM_WORKER_MODEL_SOURCE_H
#define DARKROOM_WORKER_MODEL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

/* Networks that a source may hold, in the order in which a model's are loaded. A text encoder's
 * token table comes last in it: an arena's blocks grow with those before, so after its largest
 * piece another would take as much again. */
enum network {
  NETWORK_NONE,
  NETWORK_VAE,
  NETWORK_UNET,
  NETWORK_TEXT,
  NETWORK_TEXT_2,  /* of two text encoders the larger one; the only one of XL's refiner */
  NETWORK_CONTROL, /* a control net: a source of its own */
  NETWORK_TINY,    /* a tiny decoder: a source of its own */
  NETWORKS
};

/* sha256 (lower-case hex) that a weight file must have, by path relative to the source's folder. */
struct weight_hash {
  const char *path;
  const char *sha256;
};
struct model_source {
  const char *folder; /* diffusers layout; of a single file the folder that it lies in */
  const struct weight_hash *hashes;
  size_t hash_count; /* 0: unchecked, for tests; the worker's model table always has them */
  const char
      *file; /* a single .safetensors file's name within the folder; NULL: diffusers layout */
  const char *variant;    /* of a folder: "fp16", "non_ema"; NULL: none, then fp16 */
  const char *family;     /* a name of worker/model/family.h; NULL: found */
  const char *prediction; /* "epsilon", "v_prediction", "sample"; NULL: as configs or file say */
  const char *tokenizer; /* folder with "tokenizer" (and "tokenizer_2") in it, or a tokenizer's own;
                             NULL: the source's folder */
  const char *configs;   /* of a single file: a folder with config.json files as diffusers has them;
                             NULL: facts from shapes and the family */
  bool averaged;         /* of a single file: the averaged (EMA) copy of the U-Net's weights */
};

/* A copy of it with all its texts in the arena. */
enum status model_source_keep(struct arena *arena, const struct model_source *source,
                              struct model_source *out);

#endif
