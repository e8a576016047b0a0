/* condition.h - what the U-Net is told to draw, and what it becomes: plain values. */
#ifndef DARKROOM_WORKER_MODEL_CONDITION_H
#define DARKROOM_WORKER_MODEL_CONDITION_H

#include <stdbool.h>

#include "base/limits.h"
#include "kernels/tensor.h"

struct adaptation; /* adapters that change the text encoders and the keys (adapter.h) */
struct embeddings; /* words of textual inversion (embeddings.h) */

enum prompt_mode {
  PROMPT_MODE_PLAIN,   /* 75 tokens, cut, no markup read: as diffusers */
  PROMPT_MODE_LONG,    /* chunks of 75 tokens, one after another */
  PROMPT_MODE_WEIGHTED /* chunks, and (word:1.3) weighs tokens (prompt_weights.h) */
};

/* All that a conditioning depends on beside the model: two that are equal in all of it share one.
 * Pointers are borrowed. */
struct condition {
  const char *prompt; /* UTF-8 */
  enum prompt_mode mode;
  int clip_skip;  /* layers of the text encoder left out at its end; 0: the family's own choice */
  bool negative;  /* stands for what is not wanted */
  bool silent;    /* and nothing was said, which is not "": it may become zeros (see family.h) */
  int size_count; /* what the family asks for (family.h), 0 where it asks for none */
  float sizes[CONDITION_SIZES_MAX]; /* XL: original height, width, crop top, left, target height,
                                       width; refiner: original, crop, aesthetic score */
  float guidance; /* of models that are told it (unet_facts.guidance_width); else 0 */
  const struct adaptation *adaptation; /* NULL: none */
  const struct embeddings *embeddings; /* NULL: none */
};

/* Lives in the arena it was made from; read-only; shared by all samples with this condition. */
struct conditioning {
  struct tensor embedding;   /* [L, cross width] */
  struct tensor keys_values; /* flat: per cross-attention layer in U-Net order [L, 2 * heads * d],
                                one after another */
  struct tensor told;        /* [1, addition_inputs]: pooled text and embedded sizes, of which
                                control nets make their own `added`; rank 0: nothing */
  struct tensor added;       /* [D] for op_add_rows: where the model is told its guidance, what that
                                adds behind the time embedding's first layer; then what sizes and
                                the pooled text add to it; rank 0: nothing */
};

/* What a user should know of it. */
struct condition_report {
  int tokens; /* of the prompt, those that were left out counted */
  int cut;    /* tokens left out at its end */
  int chunks; /* of TOKENS_PER_CHUNK in the embedding */
};

#endif
