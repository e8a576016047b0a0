/* vae_walk.c - bands of maps, and the layers that both sides of an autoencoder are made of. */
#include "worker/model/vae_walk.h"

/* A band's scratch, about, and its least rows; what one turn's attention may multiply and add. */
#define BAND_BYTES ((int64_t)32 * 1024 * 1024)
#define BAND_ROWS_MIN 2
#define ATTENTION_WORK ((int64_t)64 * 1000 * 1000 * 1000)

static const struct conv_options same_size = {.stride = 1, .pad_before = 1, .pad_after = 1};

/* The pass of the next turn: dry where it is not one of those that are computed. */
struct pass walk_turn(const struct walk *walk) {
  struct vae_turns *turns = walk->turns;
  struct pass pass = *walk->pass;
  pass.dry = pass.dry || turns->all < turns->first || turns->all >= turns->first + turns->count;
  turns->all++;
  return pass;
}

/* ---- maps and bands ---- */

struct tensor map_rows(const struct tensor *map, int64_t first, int64_t count) {
  struct tensor rows = *map;
  size_t row = (size_t)(map->shape[2] * map->shape[3]) * element_bytes(map->element);
  rows.data = (char *)map->data + (size_t)first * row;
  rows.shape[1] = count;
  return rows;
}

/* A map of other channels that begins where this one does. */
struct tensor map_at(const struct tensor *map, int64_t channels) {
  struct tensor other = *map;
  other.shape[3] = channels;
  return other;
}

struct tensor map_tokens(const struct tensor *map) {
  return tensor_view(map, TENSOR_SHAPE(1, map->shape[1] * map->shape[2], map->shape[3]));
}

/* The band that begins at `first`; each of its rows takes `row` values of scratch. */
struct band walk_band(const struct walk *walk, int64_t first, int64_t height, int64_t row) {
  int64_t bytes = walk->turns->band_bytes > 0 ? walk->turns->band_bytes : BAND_BYTES;
  int64_t rows = bytes / (row * (int64_t)element_bytes(walk->pass->element));
  rows = rows < BAND_ROWS_MIN ? BAND_ROWS_MIN : rows;
  int64_t end = first + rows < height ? first + rows : height;
  return (struct band){first, end, first > 0, end < height};
}

/* The band's rows with those around it. */
struct tensor band_around(const struct tensor *map, const struct band *band) {
  int64_t first = band->first - band->above;
  return map_rows(map, first, band->end + band->below - first);
}

enum status band_take(const struct pass *pass, const struct tensor *rows, int64_t channels,
                      struct tensor *out) {
  return pass_take(pass, TENSOR_SHAPE(1, rows->shape[1], rows->shape[2], channels), out);
}

/* To a place of the same size: the nearest neighbour of every pixel is itself. */
enum status map_copy(const struct pass *pass, const struct tensor *from, const struct tensor *to) {
  return pass_upsample(pass, from, to);
}

/* The band itself, out of what was made of it with the rows around it: to its rows of `map`. */
enum status band_put(const struct pass *pass, const struct tensor *made, const struct band *band,
                     const struct tensor *map) {
  struct tensor from = map_rows(made, band->above, band->end - band->first);
  struct tensor to = map_rows(map, band->first, band->end - band->first);
  return map_copy(pass, &from, &to);
}

/* ---- layers ---- */

enum status walk_norm(const struct walk *walk, const struct tensor *x, const struct norm *norm,
                      const struct tensor *y) {
  struct pass pass = walk_turn(walk);
  return pass_group_norm(&pass, x, norm, true, y);
}

/* The band of x with its surroundings, though the row above it is overwritten already: `kept` has
 * it, and is given the band's last row for the next. */
static enum status gather(const struct pass *pass, const struct tensor *x, const struct band *band,
                          const struct tensor *kept, const struct tensor *out) {
  int64_t rows = band->end + band->below - band->first;
  struct tensor from = map_rows(x, band->first, rows), to = map_rows(out, band->above, rows);
  struct tensor top = map_rows(out, 0, 1), last = map_rows(x, band->end - 1, 1);
  if (band->above > 0) {
    TRY(map_copy(pass, kept, &top));
  }
  TRY(map_copy(pass, &from, &to));
  return map_copy(pass, &last, kept);
}

/* x becomes conv(x), of no more channels: each row lies where rows already read lay. */
enum status walk_conv(const struct walk *walk, const struct weight *conv, struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor y = map_at(x, weight_outputs(conv)), kept, in, out;
  TRY(pass_take(walk->pass, TENSOR_SHAPE(1, 1, x->shape[2], x->shape[3]), &kept));
  struct band band = {0};
  for (; band.end < x->shape[1];) {
    struct pass pass = walk_turn(walk);
    struct arena_mark inside = arena_mark(pass.arena);
    band = walk_band(walk, band.end, x->shape[1], x->shape[2] * (x->shape[3] + y.shape[3]));
    struct tensor whole = band_around(x, &band);
    TRY(band_take(&pass, &whole, x->shape[3], &in));
    TRY(band_take(&pass, &whole, y.shape[3], &out));
    TRY(gather(&pass, x, &band, &kept, &in));
    TRY(pass_conv(&pass, &in, conv, &same_size, &out));
    TRY(band_put(&pass, &out, &band, &y));
    arena_release(pass.arena, inside);
  }
  arena_release(walk->pass->arena, mark);
  *x = y;
  return OK;
}

/* y += conv(x) */
enum status walk_conv_onto(const struct walk *walk, const struct weight *conv,
                           const struct tensor *x, const struct tensor *y) {
  struct band band = {0};
  for (; band.end < y->shape[1];) {
    struct pass pass = walk_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = walk_band(walk, band.end, y->shape[1], y->shape[2] * y->shape[3]);
    struct tensor in = band_around(x, &band), beside = band_around(y, &band), out;
    struct conv_options options = same_size;
    options.residual = &beside;
    TRY(band_take(&pass, &in, y->shape[3], &out));
    TRY(pass_conv(&pass, &in, conv, &options, &out));
    TRY(band_put(&pass, &out, &band, y));
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
    struct pass pass = walk_turn(walk);
    struct arena_mark mark = arena_mark(pass.arena);
    band = walk_band(walk, band.end, x->shape[1], x->shape[2] * x->shape[3]);
    struct tensor in = map_rows(x, band.first, band.end - band.first), out;
    struct tensor to = map_rows(&y, band.first, band.end - band.first);
    TRY(band_take(&pass, &in, y.shape[3], &out));
    struct tensor from = map_tokens(&in), made = map_tokens(&out);
    TRY(pass_matmul(&pass, &from, matrix, NULL, &made));
    TRY(map_copy(&pass, &out, &to));
    arena_release(pass.arena, mark);
  }
  *x = y;
  return OK;
}

/* x becomes the residual block of x, in place; spare has room for as much as x. */
static enum status walk_resnet(const struct walk *walk, const struct resnet *resnet,
                               const struct tensor *spare, struct tensor *x) {
  struct tensor inner = *x;
  inner.data = spare->data;
  TRY(walk_norm(walk, x, &resnet->norm1, &inner));
  TRY(walk_conv(walk, resnet->conv1, &inner));
  TRY(walk_norm(walk, &inner, &resnet->norm2, &inner));
  if (resnet->shortcut != NULL) {
    TRY(matrix_in_place(walk, resnet->shortcut, x));
  }
  return walk_conv_onto(walk, resnet->conv2, &inner, x);
}

/* All residual blocks from `first` on, in place. */
enum status walk_layers(const struct walk *walk, const struct vae_level *level, int first,
                        const struct tensor *spare, struct tensor *x) {
  for (int i = first; i < level->layers; i++) {
    TRY(walk_resnet(walk, &level->resnet[i], spare, x));
  }
  return OK;
}

/* ---- the middle ---- */

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
    struct pass pass = walk_turn(walk);
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
static enum status walk_attend(const struct walk *walk, const struct vae_attention *attention,
                               const struct tensor *x) {
  struct arena_mark mark = arena_mark(walk->pass->arena);
  struct tensor tokens = map_tokens(x), normed, qkv;
  TRY(pass_take(walk->pass, x->rank, x->shape, &normed));
  TRY(pass_take(walk->pass, TENSOR_SHAPE(1, tokens.shape[1], 3 * x->shape[3]), &qkv));
  struct tensor flat = map_tokens(&normed);
  struct pass pass = walk_turn(walk);
  TRY(pass_group_norm(&pass, x, &attention->norm, false, &normed));
  TRY(pass_matmul(&pass, &flat, attention->qkv, NULL, &qkv));
  TRY(attend_all(walk, x, &qkv, &flat));
  pass = walk_turn(walk);
  TRY(pass_matmul(&pass, &flat, attention->out, &(struct matmul_options){.residual = &tokens},
                  &tokens));
  arena_release(walk->pass->arena, mark);
  return OK;
}

enum status walk_middle(const struct walk *walk, const struct vae *vae,
                        const struct vae_middle *middle, const struct tensor *spare,
                        struct tensor *x) {
  TRY(walk_resnet(walk, &middle->resnet[0], spare, x));
  if (vae->facts->mid_attention) {
    TRY(walk_attend(walk, &middle->attention, x));
  }
  return walk_resnet(walk, &middle->resnet[1], spare, x);
}
