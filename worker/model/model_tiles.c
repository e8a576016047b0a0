/* model_tiles.c - latents to a picture, and back, a tile a turn. */
#include <assert.h>

#include "worker/model/model_inside.h"
#include "worker/model/picture_input.h"
#include "worker/model/vae_encode_tiles.h"
#include "worker/model/vae_tiles.h"

/* ---- decoding ---- */

/* Memory of all that outlives a turn, and the turns' own behind it. */
static enum status run(const struct pass *pass, const struct model *model, const struct decode *to,
                       const int64_t size[2], struct vae_turns *turns) {
  int64_t height = size[0], width = size[1], factor = model->family.scale_factor;
  int64_t channels = model->family.vae.latent_channels;
  bool computes = !pass->dry;
  struct tensor picture, latents;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, factor * height, factor * width, 3),
                   &picture));
  TRY(pass_take(pass, TENSOR_SHAPE(1, height, width, channels), &latents));
  if (computes && turns->first == 0 && turns->count > 0) {
    TRY(op_gather(pass->device, to->row, channels, &latents));
  }
  TRY(vae_tiles_run(pass, &model->vae, &latents, &picture, turns));
  if (!computes || turns->first + turns->count < turns->all) {
    return OK;
  }
  TRY(op_finite(pass->device, &picture, &to->finite));
  struct tensor pixels = tensor_view(&to->pixels, picture.rank, picture.shape);
  return op_pixels(pass->device, &picture, &pixels);
}

enum status model_decode_turn(struct model *model, struct arena *block, const struct decode *decode,
                              int64_t first, int64_t count) {
  struct vae_turns turns = {.first = first, .count = count};
  struct arena_mark mark = arena_mark(block);
  struct pass pass = model_pass(model, block, model->family.vae.precision);
  int64_t factor = model->family.scale_factor;
  const int64_t size[2] = {decode->pixels.shape[0] / factor, decode->pixels.shape[1] / factor};
  enum status status = run(&pass, model, decode, size, &turns);
  arena_release(block, mark);
  return status;
}

/* ---- encoding ---- */

/* Likewise. The picture is made of the image in the first turn. */
static enum status run_encode(const struct pass *pass, const struct model *model,
                              const struct encode *what, const int64_t size[2],
                              struct vae_turns *turns) {
  int64_t factor = model->family.scale_factor, channels = 2 * model->family.vae.latent_channels;
  struct tensor image = {.rank = 3, .shape = {size[0] * factor, size[1] * factor, 3, 1}};
  struct tensor moments, picture;
  struct pass first = *pass;
  first.dry = pass->dry || turns->first > 0 || turns->count == 0;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, size[0], size[1], channels), &moments));
  TRY(picture_input(&first, what != NULL ? &what->image : &image, &picture));
  TRY(vae_encode_tiles_run(pass, &model->vae, &picture, &moments, turns));
  if (pass->dry || turns->first + turns->count < turns->all) {
    return OK;
  }
  return op_posterior(model->device, &moments, &what->noise, model->family.vae.scaling_factor,
                      &what->latents);
}

enum status model_encode_turn(struct model *model, struct arena *block, const struct encode *encode,
                              int64_t first, int64_t count) {
  struct vae_turns turns = {.first = first, .count = count};
  struct arena_mark mark = arena_mark(block);
  struct pass pass = model_pass(model, block, model->family.vae.precision);
  const int64_t size[2] = {encode->latents.shape[0], encode->latents.shape[1]};
  assert(model->vae.encodes);
  enum status status = run_encode(&pass, model, encode, size, &turns);
  arena_release(block, mark);
  return status;
}

/* ---- how many, and how much memory ---- */

static enum status walk_decode(const struct pass *pass, const struct model *model,
                               const int64_t size[2], struct vae_turns *turns) {
  return run(pass, model, NULL, size, turns);
}
static enum status walk_encode(const struct pass *pass, const struct model *model,
                               const int64_t size[2], struct vae_turns *turns) {
  return run_encode(pass, model, NULL, size, turns);
}

struct walked {
  int64_t turns; /* 0: it cannot */
  size_t bytes;  /* SIZE_MAX then */
};

typedef enum status (*walk_way)(const struct pass *pass, const struct model *model,
                                const int64_t size[2], struct vae_turns *turns);

/* The same without computing anything. */
static struct walked walk(const struct model *model, const int64_t size[2],
                          enum precision precision, walk_way way) {
  struct arena *arena = NULL;
  struct walked walked = {0, SIZE_MAX};
  if (pass_dry_arena(&arena) != OK) {
    return walked;
  }
  struct pass pass = model_pass(model, arena, precision);
  struct vae_turns all = {0};
  pass.dry = true;
  if (way(&pass, model, size, &all) == OK) {
    walked = (struct walked){all.all, arena_peak(arena)};
  }
  arena_close(&arena);
  return walked;
}

static struct walked walked_decode(const struct model *model, int height, int width,
                                   enum precision precision) {
  const int64_t size[2] = {height, width};
  return vae_tiles_can(&model->family.vae) ? walk(model, size, precision, walk_decode)
                                           : (struct walked){0, SIZE_MAX};
}
static struct walked walked_encode(const struct model *model, int height, int width) {
  const int64_t size[2] = {height, width};
  bool can = model->vae.encodes && vae_encode_tiles_can(&model->family.vae);
  return can ? walk(model, size, model->family.vae.precision, walk_encode)
             : (struct walked){0, SIZE_MAX};
}

int64_t model_decode_turns(const struct model *model, int height, int width) {
  return walked_decode(model, height, width, model->family.vae.precision).turns;
}
size_t model_decode_turns_bytes(const struct model *model, int height, int width) {
  return walked_decode(model, height, width, model->family.vae.precision).bytes;
}
size_t model_exact_turns_bytes(const struct model *model, int height, int width) {
  return walked_decode(model, height, width, PRECISION_EXACT).bytes;
}
int64_t model_encode_turns(const struct model *model, int height, int width) {
  return walked_encode(model, height, width).turns;
}
size_t model_encode_turns_bytes(const struct model *model, int height, int width) {
  return walked_encode(model, height, width).bytes;
}
