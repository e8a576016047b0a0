/* clip.h - CLIP's text encoder (Radford et al. 2021; transformers' CLIPTextModel and
 * CLIPTextModelWithProjection): a hidden state of any layer, and the pooled text.
 */
#ifndef DARKROOM_WORKER_MODEL_CLIP_H
#define DARKROOM_WORKER_MODEL_CLIP_H

#include <stdbool.h>

#include "worker/model/family.h"
#include "worker/model/loader.h"
#include "worker/model/pass.h"

struct clip_layer {
  struct norm norm1, norm2;
  struct weight *qkv, *out, *inner1, *inner2;
};
struct clip {
  const struct clip_facts *facts;
  struct tensor tokens, positions; /* embedding tables */
  struct clip_layer *layer;
  struct norm norm_out;
  struct weight *projection; /* of the pooled text; NULL: it has none */
};

/* facts are borrowed for as long as the encoder lives. */
enum status clip_load(struct loader *loader, const struct clip_facts *facts, struct clip *clip);

/* What one run takes and gives. */
struct clip_call {
  const struct tensor *ids; /* i32 [1, positions] on the device; not looked at in a dry pass */
  const struct tensor
      *extra;           /* [E, width] whose rows the ids behind the vocabulary name, or NULL */
  int layers;           /* that the hidden state has gone through, 0..facts->layers */
  bool normed;          /* the hidden state behind the last norm */
  struct tensor hidden; /* [positions, width], taken by the caller */
  int end;              /* the place at which the text is pooled, behind all layers */
  struct tensor pooled; /* [1, projection], taken by the caller; rank 0: not wanted */
};
enum status clip_run(const struct pass *pass, const struct clip *clip,
                     const struct clip_call *call);

#endif
