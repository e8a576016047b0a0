/* clip.h - CLIP's text encoder (Radford et al. 2021; transformers' CLIPTextModel): the last hidden
 * state after its norm. */
#ifndef DARKROOM_WORKER_MODEL_CLIP_H
#define DARKROOM_WORKER_MODEL_CLIP_H

#include <stdint.h>

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
};

/* facts are borrowed for as long as the encoder lives. */
enum status clip_load(struct loader *loader, const struct clip_facts *facts, struct clip *clip);
/* ids i32 [1, positions] on the device, not looked at in a dry pass; embedding [positions,
 * width]. */
enum status clip_run(const struct pass *pass, const struct clip *clip, const struct tensor *ids,
                     const struct tensor *embedding);

#endif
