/* vae_encode_tiles.c - a walk through the encoder, of which some turns are computed. Maps lie at
 * the bottom, one in the place of the other; what is larger is taken behind. */
#include "worker/model/vae_encode_tiles.h"

#include <assert.h>

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};
/* As in vae_encode.c: zeros below and to the right alone. */
static const struct conv_options half_size = {.stride = 2, .pad_after = 1};
enum { HALF = 2 };

/* ---- layers to another place ---- */

/* y = conv(x) */
static enum status conv_map(const struct walk *walk, const struct weight *conv,
                            const struct tensor *x, const struct tensor *y) {
  struct band band = {0};
  while (band.end < x->shape[1]) {
    struct pass pass = walk_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = walk_band(walk, band.end, x->shape[1], x->shape[2] * y->shape[3]);
    struct tensor in = band_around(x, &band), out;
    TRY(band_take(&pass, &in, y->shape[3], &out));
    TRY(pass_conv(&pass, &in, conv, &same_size, &out));
    TRY(band_put(&pass, &out, &band, y));
    arena_release(pass.arena, mark);
  }
  return OK;
}

/* y = matrix(x) */
static enum status matrix_map(const struct walk *walk, const struct weight *matrix,
                              const struct tensor *x, const struct tensor *y) {
  struct band band = {0};
  while (band.end < x->shape[1]) {
    struct pass pass = walk_turn(walk);
    band = walk_band(walk, band.end, x->shape[1], x->shape[2] * y->shape[3]);
    struct tensor from = map_rows(x, band.first, band.end - band.first);
    struct tensor to = map_rows(y, band.first, band.end - band.first);
    struct tensor in = map_tokens(&from), out = map_tokens(&to);
    TRY(pass_matmul(&pass, &in, matrix, NULL, &out));
  }
  return OK;
}

/* The rows of x that a band of half the size is made of: the one below its last pair, too, where
 * there is one. There zeros follow, which no row of the band looks at but the last of all. */
static struct tensor rows_to_halve(const struct tensor *x, const struct band *band) {
  int64_t rows = HALF * (band->end - band->first) + band->below;
  return map_rows(x, HALF * band->first, rows);
}

/* y = conv(x) of half the size. y may begin where x does: what is put there has been read. */
static enum status halve_map(const struct walk *walk, const struct weight *conv,
                             const struct tensor *x, const struct tensor *y) {
  struct band band = {0};
  while (band.end < y->shape[1]) {
    struct pass pass = walk_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = walk_band(walk, band.end, y->shape[1], y->shape[2] * y->shape[3]);
    struct tensor in = rows_to_halve(x, &band), out;
    struct tensor to = map_rows(y, band.first, band.end - band.first);
    TRY(band_take(&pass, &to, y->shape[3], &out));
    TRY(pass_conv(&pass, &in, conv, &half_size, &out));
    TRY(map_copy(&pass, &out, &to));
    arena_release(pass.arena, mark);
  }
  return OK;
}

/* ---- levels ---- */

static struct tensor with_channels(const struct tensor *map, const struct tensor *place) {
  struct tensor like = *map;
  like.data = place->data;
  return like;
}

/* sum = the block of x, which is wider; spare is left as a room of the same size. */
static enum status wider_block(const struct walk *walk, const struct resnet *block,
                               const struct tensor *x, const struct tensor *spare,
                               const struct tensor *sum) {
  struct tensor normed = with_channels(x, sum);
  TRY(walk_norm(walk, x, &block->norm1, &normed));
  TRY(conv_map(walk, block->conv1, &normed, spare));
  TRY(walk_norm(walk, spare, &block->norm2, spare));
  TRY(matrix_map(walk, block->shortcut, x, sum));
  return walk_conv_onto(walk, block->conv2, spare, sum);
}

/* All blocks of a level: *out is x, or a wider map taken behind it. */
static enum status blocks(const struct walk *walk, const struct vae_level *level,
                          const struct tensor *x, struct tensor *out) {
  struct tensor spare, sum = *x;
  bool wider = level->channels > x->shape[3];
  if (wider) {
    TRY(pass_take(walk->pass, TENSOR_SHAPE(1, x->shape[1], x->shape[2], level->channels), &sum));
  }
  struct arena_mark mark = arena_mark(walk->pass->arena);
  TRY(pass_take(walk->pass, sum.rank, sum.shape, &spare));
  if (wider) {
    TRY(wider_block(walk, &level->resnet[0], x, &spare, &sum));
  }
  TRY(walk_layers(walk, level, wider ? 1 : 0, &spare, &sum));
  arena_release(walk->pass->arena, mark);
  *out = sum;
  return OK;
}

/* x becomes what the level makes of it, where it lies unless the level is the last. */
static enum status down(const struct walk *walk, const struct vae_level *level, struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor large;
  TRY(blocks(walk, level, x, &large));
  if (level->resize == NULL) {
    *x = large;
    return OK;
  }
  struct tensor half = map_at(x, level->channels);
  half.shape[1] /= HALF;
  half.shape[2] /= HALF;
  TRY(halve_map(walk, level->resize, &large, &half));
  arena_release(walk->pass->arena, mark);
  *x = half;
  return OK;
}

/* ---- the whole ---- */

bool vae_encode_tiles_can(const struct vae_facts *facts) {
  for (int i = 1; i < facts->levels; i++) {
    bool halves = i < facts->levels - 1;
    if (facts->channels[i - 1] > facts->channels[i] ||
        (halves && facts->channels[i] > HALF * HALF * facts->channels[i - 1])) {
      return false;
    }
  }
  return true;
}

static enum status finish(const struct walk *walk, const struct vae *vae, struct tensor *x,
                          const struct tensor *moments) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor spare;
  TRY(pass_take(walk->pass, x->rank, x->shape, &spare));
  TRY(walk_middle(walk, vae, &vae->encoder.middle, &spare, x));
  arena_release(walk->pass->arena, mark);
  struct pass pass = walk_turn(walk);
  TRY(vae_moments_run(&pass, &vae->encoder, x, moments));
  arena_release(walk->pass->arena, mark);
  return OK;
}

enum status vae_encode_tiles_run(const struct pass *pass, const struct vae *vae,
                                 const struct tensor *picture, const struct tensor *moments,
                                 struct vae_turns *turns) {
  const struct vae_side *encoder = &vae->encoder;
  const struct walk walk = {pass, turns};
  struct tensor x;
  assert(vae_encode_tiles_can(vae->facts));
  turns->all = 0;
  TRY(pass_take(
      pass, TENSOR_SHAPE(1, picture->shape[1], picture->shape[2], weight_outputs(encoder->conv_in)),
      &x));
  TRY(conv_map(&walk, encoder->conv_in, picture, &x));
  for (int i = 0; i < vae->facts->levels; i++) {
    TRY(down(&walk, &encoder->level[i], &x));
  }
  return finish(&walk, vae, &x, moments);
}
