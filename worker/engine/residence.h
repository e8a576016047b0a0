/* residence.h - which models live on the device: loaded at the start, found by id, read-only. */
#ifndef DARKROOM_WORKER_ENGINE_RESIDENCE_H
#define DARKROOM_WORKER_ENGINE_RESIDENCE_H

#include "base/limits.h"
#include "worker/engine/engine.h"
#include "worker/model/preview.h"
#include "worker/sampler/noise_levels.h"

/* A model at home. */
struct resident {
  const char *id;
  const char *sha256;
  struct model *model;
  const struct family *family;
  struct noise_levels *levels;
  bool previews;          /* preview is known (glimpses.h) */
  struct preview preview; /* the colours of its latents */
  int max_side;           /* pixels: the largest side of a picture that there is memory for */
};

/* A control net at home; told apart by its place. */
struct net {
  const char *id;
  struct control *control;
};
#define NETS_MAX 32 /* of a device */

struct residence {
  size_t count;
  struct resident rows[MODELS_MAX];
  size_t net_count;
  struct net nets[NETS_MAX];
};

/* Opens all models, or none. Texts are copied into memory. */
enum status residence_open(struct arena *memory, struct device *device,
                           const struct engine_model *models, size_t count, struct residence *out);
/* Opens the control nets among the extras that go with one of its models; others are for other
 * devices. */
enum status residence_open_nets(struct arena *memory, struct device *device,
                                const struct engine_extra *extras, size_t count,
                                struct residence *residence);
void residence_close(struct residence *residence);

/* NULL when no model has that id. */
const struct resident *residence_find(const struct residence *residence, const char *id);

/* Pixels of the side the model was made for; what both sides of a picture must be a multiple of. */
int resident_side(const struct resident *resident);
int resident_multiple(const struct resident *resident);

#endif
