/* model_inside.h - a model's parts, for the files that are one with model.c: opening, conditioning,
 * predicting, decoding.
 */
#ifndef DARKROOM_WORKER_MODEL_MODEL_INSIDE_H
#define DARKROOM_WORKER_MODEL_MODEL_INSIDE_H

#include "worker/model/clip.h"
#include "worker/model/model.h"
#include "worker/model/pass.h"
#include "worker/model/tokenizer.h"
#include "worker/model/unet.h"
#include "worker/model/vae.h"

struct model {
  struct arena *host;      /* this struct and those of the networks */
  struct arena *on_device; /* norms and tables; everything else is packed weights */
  struct device *device;
  struct packed *packed;
  struct model_source source; /* in the host arena, too */
  size_t bytes;               /* on the device */
  struct family family;
  struct tokenizer *tokenizer[TEXT_ENCODERS_MAX];
  struct module_list *modules; /* what adapters may change */
  struct clip clip[TEXT_ENCODERS_MAX];
  struct unet unet;
  struct vae vae;
};

/* A pass in the type that this wish means on the model's device. */
struct pass model_pass(const struct model *model, struct arena *turn, enum precision precision);

/* Runs a pass dry and gives the most it took. SIZE_MAX when even that fails, so that nothing is
 * admitted. */
typedef enum status (*model_dry_run)(const struct pass *pass, const struct model *model,
                                     const struct tensor *input);
size_t model_dry_bytes(const struct model *model, const struct tensor *input, model_dry_run run);

/* Bytes of model_decode_turn in f32; SIZE_MAX: it does not go in turns. */
size_t model_exact_turns_bytes(const struct model *model, int height, int width);
/* A model of a decoder alone, in f32, from the same files, hash and all. */
enum status model_open_exact(const struct model *model, struct model **out);

#endif
