/* model_decode.c - latents to a picture. */
#include "worker/model/model_inside.h"

/* ---- decoding ---- */

float model_decode_scale(const struct model *model) {
  return 1.0f / model->family.vae.scaling_factor;
}

/* Latents of height x width -> picture f32 [1, H * f, W * f, 3], taken from the pass's arena. */
static enum status decode(const struct pass *pass, const struct model *model,
                          const struct batch_row *row, const int64_t size[2],
                          struct tensor *picture) {
  int64_t height = size[0], width = size[1], factor = model->family.scale_factor;
  struct tensor scaled;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, factor * height, factor * width, 3),
                   picture));
  TRY(pass_take(pass, TENSOR_SHAPE(1, height, width, model->family.vae.latent_channels), &scaled));
  if (!pass->dry) {
    TRY(op_gather(pass->device, row, scaled.shape[3], &scaled));
  }
  return vae_run(pass, &model->vae, &scaled, picture);
}

static enum status decode_to_pixels(const struct model *model, struct arena *turn,
                                    const struct decode *to) {
  struct pass pass = model_pass(model, turn, model->family.vae.precision);
  int64_t factor = model->family.scale_factor;
  const int64_t size[2] = {to->pixels.shape[0] / factor, to->pixels.shape[1] / factor};
  struct tensor picture;
  TRY(decode(&pass, model, to->row, size, &picture));
  TRY(op_finite(model->device, &picture, &to->finite));
  struct tensor batch = tensor_view(&to->pixels, picture.rank, picture.shape);
  return op_pixels(model->device, &picture, &batch);
}

enum status model_decode(struct model *model, struct arena *turn, const struct decode *to) {
  struct arena_mark mark = arena_mark(turn);
  enum status status = decode_to_pixels(model, turn, to);
  arena_release(turn, mark);
  return status;
}

static enum status decode_dry(const struct pass *pass, const struct model *model,
                              const struct tensor *latents) {
  struct pass own = model_pass(model, pass->arena, model->family.vae.precision);
  struct tensor picture;
  own.dry = true;
  return decode(&own, model, NULL, latents->shape, &picture);
}

size_t model_decode_bytes(const struct model *model, int height, int width) {
  struct tensor latents = {.rank = 3,
                           .shape = {height, width, model->family.vae.latent_channels, 1}};
  return model_dry_bytes(model, &latents, decode_dry);
}

/* ---- decoding in f32 ---- */

bool model_decodes_exactly(const struct model *model) {
  return device_element_for(model->device, model->family.vae.precision) ==
         device_element_for(model->device, PRECISION_EXACT);
}

static enum status decode_exact_dry(const struct pass *pass, const struct model *model,
                                    const struct tensor *latents) {
  struct pass own = model_pass(model, pass->arena, PRECISION_EXACT);
  struct tensor picture;
  own.dry = true;
  return decode(&own, model, NULL, latents->shape, &picture);
}

/* In tiles where it can, all of them in one call: the same picture in less memory. */
size_t model_decode_exact_bytes(const struct model *model, int height, int width) {
  struct tensor latents = {.rank = 3,
                           .shape = {height, width, model->family.vae.latent_channels, 1}};
  size_t in_turns = model_exact_turns_bytes(model, height, width);
  return in_turns != SIZE_MAX ? in_turns : model_dry_bytes(model, &latents, decode_exact_dry);
}

static enum status decode_exactly(struct model *exact, struct arena *turn,
                                  const struct decode *to) {
  int factor = exact->family.scale_factor;
  int height = (int)to->pixels.shape[0] / factor, width = (int)to->pixels.shape[1] / factor;
  int64_t turns = model_decode_turns(exact, height, width);
  return turns > 0 ? model_decode_turn(exact, turn, to, 0, turns) : model_decode(exact, turn, to);
}

size_t model_exact_weight_bytes(const struct model *model) {
  enum element element = device_element_for(model->device, model->family.vae.precision);
  return model->vae.decoder_bytes * element_bytes(ELEMENT_F32) / element_bytes(element);
}

enum status model_decode_exact(struct model *model, struct arena *turn,
                               const struct decode *decode) {
  struct model *exact = NULL;
  TRY(model_open_exact(model, &exact));
  enum status status = decode_exactly(exact, turn, decode);
  status = device_wait(model->device) == BROKEN ? BROKEN : status; /* it reads the weights */
  model_close(&exact);
  return status;
}
