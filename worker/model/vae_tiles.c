/* vae_tiles.c - a walk through the decoder, of which some turns are computed. */
#include "worker/model/vae_tiles.h"

#include <assert.h>

/* A band's scratch, about, and its least rows; what one turn's attention may multiply and add. */
#define BAND_BYTES ((int64_t)32 * 1024 * 1024)
#define BAND_ROWS_MIN 2
#define ATTENTION_WORK ((int64_t)64 * 1000 * 1000 * 1000)

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

struct walk {
  const struct pass *pass;
  struct vae_turns *turns;
};

/* The pass of the next turn: dry where it is not one of those that are computed. */
static struct pass next_turn(const struct walk *walk) {
  struct vae_turns *turns = walk->turns;
  struct pass pass = *walk->pass;
  pass.dry = pass.dry || turns->all < turns->first || turns->all >= turns->first + turns->count;
  turns->all++;
  return pass;
}

/* ---- maps and bands ---- */

static struct tensor rows_of(const struct tensor *map, int64_t first, int64_t count) {
  struct tensor rows = *map;
  size_t row = (size_t)(map->shape[2] * map->shape[3]) * element_bytes(map->element);
  rows.data = (char *)map->data + (size_t)first * row;
  rows.shape[1] = count;
  return rows;
}

/* A map of other channels that begins where this one does. */
static struct tensor map_at(const struct tensor *map, int64_t channels) {
  struct tensor other = *map;
  other.shape[3] = channels;
  return other;
}

static struct tensor as_tokens(const struct tensor *map) {
  return tensor_view(map, TENSOR_SHAPE(1, map->shape[1] * map->shape[2], map->shape[3]));
}

/* Rows [first, end) of a map of `height`, and whether there are rows above and below. */
struct band {
  int64_t first, end, above, below;
};

/* The band that begins at `first`; each of its rows takes `row` values of scratch. */
static struct band band_at(const struct walk *walk, int64_t first, int64_t height, int64_t row) {
  int64_t bytes = walk->turns->band_bytes > 0 ? walk->turns->band_bytes : BAND_BYTES;
  int64_t rows = bytes / (row * (int64_t)element_bytes(walk->pass->element));
  rows = rows < BAND_ROWS_MIN ? BAND_ROWS_MIN : rows;
  int64_t end = first + rows < height ? first + rows : height;
  return (struct band){first, end, first > 0, end < height};
}

/* The band's rows with those around it. */
static struct tensor around(const struct tensor *map, const struct band *band) {
  int64_t first = band->first - band->above;
  return rows_of(map, first, band->end + band->below - first);
}

static enum status take_like(const struct pass *pass, const struct tensor *rows, int64_t channels,
                             struct tensor *out) {
  return pass_take(pass, TENSOR_SHAPE(1, rows->shape[1], rows->shape[2], channels), out);
}

/* To a place of the same size: the nearest neighbour of every pixel is itself. */
static enum status copy(const struct pass *pass, const struct tensor *from,
                        const struct tensor *to) {
  return pass_upsample(pass, from, to);
}

/* The band itself, out of what was made of it with the rows around it: to its rows of `map`. */
static enum status put(const struct pass *pass, const struct tensor *made, const struct band *band,
                       const struct tensor *map) {
  struct tensor from = rows_of(made, band->above, band->end - band->first);
  struct tensor to = rows_of(map, band->first, band->end - band->first);
  return copy(pass, &from, &to);
}

/* ---- layers ---- */

static enum status norm_map(const struct walk *walk, const struct tensor *x,
                            const struct norm *norm, const struct tensor *y) {
  struct pass pass = next_turn(walk);
  return pass_group_norm(&pass, x, norm, true, y);
}

/* The band of x with its surroundings, though the row above it is overwritten already: `kept` has
 * it, and is given the band's last row for the next. */
static enum status gather(const struct pass *pass, const struct tensor *x, const struct band *band,
                          const struct tensor *kept, const struct tensor *out) {
  int64_t rows = band->end + band->below - band->first;
  struct tensor from = rows_of(x, band->first, rows), to = rows_of(out, band->above, rows);
  struct tensor top = rows_of(out, 0, 1), last = rows_of(x, band->end - 1, 1);
  if (band->above > 0) {
    TRY(copy(pass, kept, &top));
  }
  TRY(copy(pass, &from, &to));
  return copy(pass, &last, kept);
}

/* x becomes conv(x), of no more channels: each row lies where rows already read lay. */
static enum status conv_in_place(const struct walk *walk, const struct weight *conv,
                                 struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor y = map_at(x, weight_outputs(conv)), kept, in, out;
  TRY(pass_take(walk->pass, TENSOR_SHAPE(1, 1, x->shape[2], x->shape[3]), &kept));
  struct band band = {0};
  for (; band.end < x->shape[1];) {
    struct pass pass = next_turn(walk);
    struct arena_mark inside = arena_mark(pass.arena);
    band = band_at(walk, band.end, x->shape[1], x->shape[2] * (x->shape[3] + y.shape[3]));
    struct tensor whole = around(x, &band);
    TRY(take_like(&pass, &whole, x->shape[3], &in));
    TRY(take_like(&pass, &whole, y.shape[3], &out));
    TRY(gather(&pass, x, &band, &kept, &in));
    TRY(pass_conv(&pass, &in, conv, &same_size, &out));
    TRY(put(&pass, &out, &band, &y));
    arena_release(pass.arena, inside);
  }
  arena_release(walk->pass->arena, mark);
  *x = y;
  return OK;
}

/* y += conv(x) */
static enum status conv_onto(const struct walk *walk, const struct weight *conv,
                             const struct tensor *x, const struct tensor *y) {
  struct band band = {0};
  for (; band.end < y->shape[1];) {
    struct pass pass = next_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = band_at(walk, band.end, y->shape[1], y->shape[2] * y->shape[3]);
    struct tensor in = around(x, &band), beside = around(y, &band), out;
    struct conv_options options = same_size;
    options.residual = &beside;
    TRY(take_like(&pass, &in, y->shape[3], &out));
    TRY(pass_conv(&pass, &in, conv, &options, &out));
    TRY(put(&pass, &out, &band, y));
    arena_release(pass.arena, mark);
  }
  return OK;
}

/* x becomes matrix(x), of no more channels. */
static enum status matrix_in_place(const struct walk *walk, const struct weight *matrix,
                                   struct tensor *x) {
  struct tensor y = map_at(x, weight_outputs(matrix));
  struct band band = {0};
  for (; band.end < x->shape[1];) {
    struct pass pass = next_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = band_at(walk, band.end, x->shape[1], x->shape[2] * x->shape[3]);
    struct tensor in = rows_of(x, band.first, band.end - band.first), out;
    struct tensor to = rows_of(&y, band.first, band.end - band.first);
    TRY(take_like(&pass, &in, y.shape[3], &out));
    struct tensor from = as_tokens(&in), made = as_tokens(&out);
    TRY(pass_matmul(&pass, &from, matrix, NULL, &made));
    TRY(copy(&pass, &out, &to));
    arena_release(pass.arena, mark);
  }
  *x = y;
  return OK;
}

/* x becomes the residual block of x, in place; spare has room for as much as x. */
static enum status resnet_in_place(const struct walk *walk, const struct resnet *resnet,
                                   const struct tensor *spare, struct tensor *x) {
  struct tensor inner = *x;
  inner.data = spare->data;
  TRY(norm_map(walk, x, &resnet->norm1, &inner));
  TRY(conv_in_place(walk, resnet->conv1, &inner));
  TRY(norm_map(walk, &inner, &resnet->norm2, &inner));
  if (resnet->shortcut != NULL) {
    TRY(matrix_in_place(walk, resnet->shortcut, x));
  }
  return conv_onto(walk, resnet->conv2, &inner, x);
}

/* ---- doubling ---- */

/* The doubled rows of small's band, out of the band and what is around it. */
static enum status double_band(const struct pass *pass, const struct weight *doubling,
                               const struct tensor *small, const struct band *band,
                               struct tensor *rows) {
  struct tensor in = around(small, band), made;
  int64_t channels = weight_outputs(doubling);
  TRY(pass_take(pass, TENSOR_SHAPE(1, 2 * in.shape[1], 2 * in.shape[2], channels), &made));
  TRY(pass_upsample_conv(pass, &in, doubling, &made));
  *rows = rows_of(&made, 2 * band->above, 2 * (band->end - band->first));
  return OK;
}

static struct band band_of_small(const struct walk *walk, int64_t first,
                                 const struct tensor *small) {
  return band_at(walk, first, small->shape[1], 4 * small->shape[2] * small->shape[3]);
}

/* y = shortcut(what small becomes), or that itself where there is no shortcut. */
static enum status shortcut_map(const struct walk *walk, const struct weight *doubling,
                                const struct weight *shortcut, const struct tensor *small,
                                const struct tensor *y) {
  struct band band = {0};
  for (; band.end < small->shape[1];) {
    struct pass pass = next_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    struct tensor rows;
    band = band_of_small(walk, band.end, small);
    struct tensor to = rows_of(y, 2 * band.first, 2 * (band.end - band.first));
    TRY(double_band(&pass, doubling, small, &band, &rows));
    if (shortcut != NULL) {
      struct tensor from = as_tokens(&rows), into = as_tokens(&to);
      TRY(pass_matmul(&pass, &from, shortcut, NULL, &into));
    } else {
      TRY(copy(&pass, &rows, &to));
    }
    arena_release(pass.arena, mark);
  }
  return OK;
}

/* ---- levels ---- */

/* All residual blocks from `first` on, in place. */
static enum status layers_run(const struct walk *walk, const struct vae_level *level, int first,
                              const struct tensor *spare, struct tensor *x) {
  for (int i = first; i < level->layers; i++) {
    TRY(resnet_in_place(walk, &level->resnet[i], spare, x));
  }
  return OK;
}

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
    struct pass pass = next_turn(walk);
    band = band_at(walk, band.end, from->shape[1], from->shape[2] * from->shape[3]);
    struct tensor rows = rows_of(from, band.first, band.end - band.first);
    struct tensor place = rows_of(to, band.first, band.end - band.first);
    TRY(copy(&pass, &rows, &place));
  }
  return OK;
}

/* The picture of the last level's map. */
static enum status finish(const struct walk *walk, const struct vae *vae, const struct tensor *x,
                          const struct tensor *picture) {
  TRY(norm_map(walk, x, &vae->decoder.norm_out, x));
  struct pass pass = next_turn(walk);
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
  TRY(norm_map(walk, &doubled, &block->norm1, inner));
  TRY(conv_in_place(walk, block->conv1, inner));
  TRY(norm_map(walk, inner, &block->norm2, inner));
  TRY(place_sum(walk, &doubled, inner, sum));
  TRY(shortcut_map(walk, doubling, block->shortcut, small, sum));
  return conv_onto(walk, block->conv2, inner, sum);
}

/* small becomes level `index` of what it is doubled to; the last one goes on to the picture. */
static enum status doubled_level(const struct walk *walk, const struct vae *vae, int index,
                                 struct tensor *small, const struct tensor *picture) {
  const struct vae_level *level = &vae->decoder.level[index];
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor inner, sum;
  TRY(first_block(walk, vae->decoder.level[index - 1].resize, &level->resnet[0], small, &inner,
                  &sum));
  TRY(layers_run(walk, level, 1, &inner, &sum));
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

/* Rows of the map whose attention to all of it is a turn's work. */
static int64_t attention_rows(const struct walk *walk, const struct tensor *x) {
  int64_t row = 4 * x->shape[1] * x->shape[2] * x->shape[2] * x->shape[3];
  int64_t rows = walk->turns->band_bytes > 0 ? 1 : ATTENTION_WORK / row;
  return rows > 0 ? rows : 1;
}

/* y = attention of qkv, a few rows of the map a turn. */
static enum status attend_all(const struct walk *walk, const struct tensor *x,
                              const struct tensor *qkv, const struct tensor *y) {
  int64_t rows = attention_rows(walk, x), width = x->shape[2], c = x->shape[3];
  size_t value = element_bytes(qkv->element);
  for (int64_t first = 0; first < x->shape[1]; first += rows) {
    struct pass pass = next_turn(walk);
    int64_t count = first + rows < x->shape[1] ? rows : x->shape[1] - first;
    struct tensor q = *qkv, out = *y;
    q.data = (char *)qkv->data + (size_t)(first * width * 3 * c) * value;
    out.data = (char *)y->data + (size_t)(first * width * c) * value;
    q.shape[1] = out.shape[1] = count * width;
    TRY(pass_attention(&pass, &(struct attention){{&q, 0}, {qkv, c}, {qkv, 2 * c}, .heads = 1},
                       &out));
  }
  return OK;
}

/* x += out(attention(norm(x))) */
static enum status attend(const struct walk *walk, const struct vae_attention *attention,
                          const struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor tokens = as_tokens(x), normed, qkv;
  TRY(pass_take(walk->pass, x->rank, x->shape, &normed));
  TRY(pass_take(walk->pass, TENSOR_SHAPE(1, tokens.shape[1], 3 * x->shape[3]), &qkv));
  struct tensor flat = as_tokens(&normed);
  struct pass pass = next_turn(walk);
  TRY(pass_group_norm(&pass, x, &attention->norm, false, &normed));
  TRY(pass_matmul(&pass, &flat, attention->qkv, NULL, &qkv));
  TRY(attend_all(walk, x, &qkv, &flat));
  pass = next_turn(walk);
  TRY(pass_matmul(&pass, &flat, attention->out, &(struct matmul_options){.residual = &tokens},
                  &tokens));
  arena_release(walk->pass->arena, mark);
  return OK;
}

static enum status begin(const struct walk *walk, const struct vae_side *decoder,
                         const struct tensor *latents, const struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct pass pass = next_turn(walk);
  struct tensor first;
  TRY(vae_latents_run(&pass, decoder, latents, &first));
  TRY(pass_conv(&pass, &first, decoder->conv_in, &same_size, x));
  arena_release(walk->pass->arena, mark);
  return OK;
}

static enum status middle_run(const struct walk *walk, const struct vae *vae, struct tensor *x) {
  const struct vae_middle *middle = &vae->decoder.middle;
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor spare;
  TRY(pass_take(walk->pass, x->rank, x->shape, &spare));
  TRY(resnet_in_place(walk, &middle->resnet[0], &spare, x));
  if (vae->facts->mid_attention) {
    TRY(attend(walk, &middle->attention, x));
  }
  TRY(resnet_in_place(walk, &middle->resnet[1], &spare, x));
  TRY(layers_run(walk, &vae->decoder.level[0], 0, &spare, x));
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
  TRY(middle_run(&walk, vae, &x));
  for (int i = 1; i < vae->facts->levels; i++) {
    TRY(doubled_level(&walk, vae, i, &x, picture));
  }
  return vae->facts->levels > 1 ? OK : finish(&walk, vae, &x, picture);
}
