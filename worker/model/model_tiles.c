/* model_tiles.c - latents to a picture, a tile a turn. */
#include "worker/model/model_inside.h"
#include "worker/model/vae_tiles.h"

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

/* The same without computing anything: how many turns, and how much memory. */
static enum status walk(const struct model *model, int height, int width, int64_t *turns,
                        size_t *bytes) {
  struct arena *arena = NULL;
  if (!vae_tiles_can(&model->family.vae)) {
    return fail(BAD_INPUT, "levels that grow wider are not decoded in tiles");
  }
  TRY(pass_dry_arena(&arena));
  struct pass pass = model_pass(model, arena, model->family.vae.precision);
  struct vae_turns all = {0};
  const int64_t size[2] = {height, width};
  pass.dry = true;
  enum status status = run(&pass, model, NULL, size, &all);
  *turns = all.all;
  *bytes = arena_peak(arena);
  arena_close(&arena);
  return status;
}

int64_t model_decode_turns(const struct model *model, int height, int width) {
  int64_t turns = 0;
  size_t bytes = 0;
  return walk(model, height, width, &turns, &bytes) == OK ? turns : 0;
}

size_t model_decode_turns_bytes(const struct model *model, int height, int width) {
  int64_t turns = 0;
  size_t bytes = 0;
  return walk(model, height, width, &turns, &bytes) == OK ? bytes : SIZE_MAX;
}
