/* vae_tiles.c - a walk through the decoder, of which some turns are computed. */
#include "worker/model/vae_tiles.h"

#include <assert.h>

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* ---- doubling ---- */

/* The doubled rows of small's band, out of the band and what is around it. */
static enum status double_band(const struct pass *pass, const struct weight *doubling,
                               const struct tensor *small, const struct band *band,
                               struct tensor *rows) {
  struct tensor in = band_around(small, band), made;
  int64_t channels = weight_outputs(doubling);
  TRY(pass_take(pass, TENSOR_SHAPE(1, 2 * in.shape[1], 2 * in.shape[2], channels), &made));
  TRY(pass_upsample_conv(pass, &in, doubling, &made));
  *rows = map_rows(&made, 2 * band->above, 2 * (band->end - band->first));
  return OK;
}

static struct band band_of_small(const struct walk *walk, int64_t first,
                                 const struct tensor *small) {
  return walk_band(walk, first, small->shape[1], 4 * small->shape[2] * small->shape[3]);
}

/* y = shortcut(what small becomes), or that itself where there is no shortcut. */
static enum status shortcut_map(const struct walk *walk, const struct weight *doubling,
                                const struct weight *shortcut, const struct tensor *small,
                                const struct tensor *y) {
  struct band band = {0};
  for (; band.end < small->shape[1];) {
    struct pass pass = walk_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    struct tensor rows;
    band = band_of_small(walk, band.end, small);
    struct tensor to = map_rows(y, 2 * band.first, 2 * (band.end - band.first));
    TRY(double_band(&pass, doubling, small, &band, &rows));
    if (shortcut != NULL) {
      struct tensor from = map_tokens(&rows), into = map_tokens(&to);
      TRY(pass_matmul(&pass, &from, shortcut, NULL, &into));
    } else {
      TRY(map_copy(&pass, &rows, &to));
    }
    arena_release(pass.arena, mark);
  }
  return OK;
}

/* ---- levels ---- */

/* Where the first block's sum lies: behind its inner map, in what is left of the doubled one, or
 * where that is too narrow by itself. */
static enum status place_sum(const struct walk *walk, const struct tensor *doubled,
                             const struct tensor *inner, struct tensor *out) {
  if (2 * inner->shape[3] > doubled->shape[3]) {
    return pass_take(walk->pass, inner->rank, inner->shape, out);
  }
  *out = *inner;
  out->data = (char *)inner->data + tensor_bytes(inner);
  return OK;
}

/* Down to where the small map lay, for the next level takes its memory behind it. */
static enum status move_down(const struct walk *walk, const struct tensor *from,
                             const struct tensor *to) {
  struct band band = {0};
  while (band.end < from->shape[1]) {
    struct pass pass = walk_turn(walk);
    band = walk_band(walk, band.end, from->shape[1], from->shape[2] * from->shape[3]);
    struct tensor rows = map_rows(from, band.first, band.end - band.first);
    struct tensor place = map_rows(to, band.first, band.end - band.first);
    TRY(map_copy(&pass, &rows, &place));
  }
  return OK;
}

/* The picture of the last level's map. */
static enum status finish(const struct walk *walk, const struct vae *vae, const struct tensor *x,
                          const struct tensor *picture) {
  TRY(walk_norm(walk, x, &vae->decoder.norm_out, x));
  struct pass pass = walk_turn(walk);
  return pass_conv(&pass, x, vae->decoder.conv_out, &same_size, picture);
}

/* sum = the first block of what small is doubled to; inner is left as a room of the same size. */
static enum status first_block(const struct walk *walk, const struct weight *doubling,
                               const struct resnet *block, const struct tensor *small,
                               struct tensor *inner, struct tensor *sum) {
  TRY(pass_take(walk->pass,
                TENSOR_SHAPE(1, 2 * small->shape[1], 2 * small->shape[2], small->shape[3]), inner));
  struct tensor doubled = *inner;
  TRY(shortcut_map(walk, doubling, NULL, small, &doubled));
  TRY(walk_norm(walk, &doubled, &block->norm1, inner));
  TRY(walk_conv(walk, block->conv1, inner));
  TRY(walk_norm(walk, inner, &block->norm2, inner));
  TRY(place_sum(walk, &doubled, inner, sum));
  TRY(shortcut_map(walk, doubling, block->shortcut, small, sum));
  return walk_conv_onto(walk, block->conv2, inner, sum);
}

/* small becomes level `index` of what it is doubled to; the last one goes on to the picture. */
static enum status doubled_level(const struct walk *walk, const struct vae *vae, int index,
                                 struct tensor *small, const struct tensor *picture) {
  const struct vae_level *level = &vae->decoder.level[index];
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor inner, sum;
  TRY(first_block(walk, vae->decoder.level[index - 1].resize, &level->resnet[0], small, &inner,
                  &sum));
  TRY(walk_layers(walk, level, 1, &inner, &sum));
  if (index == vae->facts->levels - 1) {
    TRY(finish(walk, vae, &sum, picture));
  } else {
    struct tensor down = sum;
    down.data = small->data;
    TRY(move_down(walk, &sum, &down));
    *small = down;
  }
  arena_release(walk->pass->arena, mark);
  return OK;
}

/* ---- the latents' size ---- */

static enum status begin(const struct walk *walk, const struct vae_side *decoder,
                         const struct tensor *latents, const struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct pass pass = walk_turn(walk);
  struct tensor first;
  TRY(vae_latents_run(&pass, decoder, latents, &first));
  TRY(pass_conv(&pass, &first, decoder->conv_in, &same_size, x));
  arena_release(walk->pass->arena, mark);
  return OK;
}

/* The middle, and the level of the same size. */
static enum status middle(const struct walk *walk, const struct vae *vae, struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor spare;
  TRY(pass_take(walk->pass, x->rank, x->shape, &spare));
  TRY(walk_middle(walk, vae, &vae->decoder.middle, &spare, x));
  TRY(walk_layers(walk, &vae->decoder.level[0], 0, &spare, x));
  arena_release(walk->pass->arena, mark);
  return OK;
}

/* ---- the whole ---- */

bool vae_tiles_can(const struct vae_facts *facts) {
  for (int i = 1; i < facts->levels; i++) {
    if (facts->channels[i - 1] > facts->channels[i]) {
      return false;
    }
  }
  return true;
}

/* The most values that a map has which lies at the bottom: those of all levels but the last. */
static int64_t bottom_values(const struct vae_facts *facts, const struct tensor *latents) {
  int64_t cells = latents->shape[1] * latents->shape[2], most = 0;
  for (int i = 0; i == 0 || i < facts->levels - 1; i++) {
    int64_t values = (cells << 2 * i) * facts->channels[facts->levels - 1 - i];
    most = values > most ? values : most;
  }
  return most;
}

enum status vae_tiles_run(const struct pass *pass, const struct vae *vae,
                          const struct tensor *latents, const struct tensor *picture,
                          struct vae_turns *turns) {
  const struct vae_side *decoder = &vae->decoder;
  const struct walk walk = {pass, turns};
  struct tensor x;
  assert(vae_tiles_can(vae->facts));
  turns->all = 0;
  TRY(pass_take(pass, TENSOR_SHAPE(bottom_values(vae->facts, latents)), &x));
  x = (struct tensor){
      .data = x.data,
      .element = x.element,
      .rank = 4,
      .shape = {1, latents->shape[1], latents->shape[2], weight_outputs(decoder->conv_in)}};
  TRY(begin(&walk, decoder, latents, &x));
  TRY(middle(&walk, vae, &x));
  for (int i = 1; i < vae->facts->levels; i++) {
    TRY(doubled_level(&walk, vae, i, &x, picture));
  }
  return vae->facts->levels > 1 ? OK : finish(&walk, vae, &x, picture);
}
