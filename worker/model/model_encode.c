/* model_encode.c - a picture to latents. */
#include <assert.h>

#include "worker/model/model_inside.h"
#include "worker/model/picture_input.h"

bool model_encodes(const struct model *model) { return model->vae.encodes; }

/* picture [H * f, W * f, 3] -> moments, taken from the pass's arena. */
static enum status find_moments(const struct pass *pass, const struct model *model,
                                const struct tensor *image, struct tensor *moments) {
  int64_t factor = model->family.scale_factor, channels = 2 * model->family.vae.latent_channels;
  struct tensor picture;
  TRY(pass_take_as(pass, ELEMENT_F32,
                   TENSOR_SHAPE(1, image->shape[0] / factor, image->shape[1] / factor, channels),
                   moments));
  TRY(picture_input(pass, image, &picture));
  return vae_encode(pass, &model->vae, &picture, moments);
}

static enum status encode(const struct model *model, struct arena *turn,
                          const struct encode *encode) {
  struct pass pass = model_pass(model, turn, model->family.vae.precision);
  struct tensor moments;
  TRY(find_moments(&pass, model, &encode->image, &moments));
  return op_posterior(model->device, &moments, &encode->noise, model->family.vae.scaling_factor,
                      &encode->latents);
}

enum status model_encode(struct model *model, struct arena *turn, const struct encode *what) {
  assert(what->image.rank == 3 && what->image.element == ELEMENT_F32);
  if (!model->vae.encodes) {
    return fail_field(BAD_INPUT, "image",
                      "%s: the model's autoencoder has no encoder: it takes no pictures",
                      model->source.folder);
  }
  struct arena_mark mark = arena_mark(turn);
  enum status status = encode(model, turn, what);
  arena_release(turn, mark);
  return status;
}

static enum status encode_dry(const struct pass *pass, const struct model *model,
                              const struct tensor *image) {
  struct pass own = model_pass(model, pass->arena, model->family.vae.precision);
  struct tensor moments;
  own.dry = true;
  return find_moments(&own, model, image, &moments);
}

size_t model_encode_bytes(const struct model *model, int height, int width) {
  int64_t factor = model->family.scale_factor;
  struct tensor image = {.rank = 3, .shape = {factor * height, factor * width, 3, 1}};
  return model->vae.encodes ? model_dry_bytes(model, &image, encode_dry) : 0;
}
