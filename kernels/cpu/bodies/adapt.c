/* adapt.c - tokens through the two narrow products of an adapter. Part of every level_*.c.
 *
 * Tokens are broadcast, ranks and then outputs lie across the lanes, so that tokens are read and
 * y is written as they lie; only the adapter is turned over, once a call. Sums run over inputs,
 * then over ranks, in order.
 *
 * Packed: lines of units (units.h), a line for every unit of depth; VECTORS vectors of ranks or
 * outputs have lines of their own, one such group behind the other.
 */
#include "base/limits.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/packing.h"
#include "kernels/cpu/bodies/products.h"

INLINE int64_t vectors_of(int64_t count) { return (count + LANES - 1) / LANES; }
INLINE int64_t units_of(int64_t count, enum element e) {
  return e == ELEMENT_BF16 ? (count + 1) / 2 : count;
}

/* Vectors of the group that begins with vector v of so many. */
INLINE int64_t group_at(int64_t v, int64_t vectors) {
  return vectors - v < VECTORS ? vectors - v : VECTORS;
}

/* A matrix [count, depth] as lines. */
static void pack_lines(const void *from, int64_t count, int64_t depth, enum element e, float *to) {
  int64_t bytes = depth * (e == ELEMENT_BF16 ? 2 : 4), vectors = vectors_of(count);
  for (int64_t v = 0; v < vectors; v++) {
    int64_t start = v / VECTORS * VECTORS, group = group_at(start, vectors);
    const struct strip strip = {.from = (const char *)from + v * LANES * bytes,
                                .step = bytes,
                                .rows = count - v * LANES,
                                .bytes = bytes};
    transpose_strip(&strip, to + (start * units_of(depth, e) + v - start) * LANES, group * LANES);
  }
}

static void pack_adapters(const void *arguments, int64_t first, int64_t end) {
  const struct adapt *a = arguments;
  for (int64_t item = first; item < end; item++) {
    const struct adapt_job *job = &a->jobs[item];
    if (job->packs) {
      pack_lines(job->module->down, job->module->rank, a->inputs, a->element,
                 a->packed + job->down);
      pack_lines(job->module->up, a->outputs, job->module->rank, a->element, a->packed + job->up);
    }
  }
}

/* sums[r][v] += token[r][unit] * line[unit][v] over units. */
INLINE void multiply_tokens(const float *const tokens[TILE], const float *lines, int64_t units,
                            const struct form form, vec sums[TILE][VECTORS]) {
  UNROLL for (int r = 0; r < TILE; r++) {
    UNROLL for (int v = 0; v < form.vectors; v++) { sums[r][v] = all(0); }
  }
  for (int64_t u = 0; u < units; u++) {
    vec line[VECTORS];
    UNROLL for (int v = 0; v < form.vectors; v++) { line[v] = load_f32(lines + v * LANES); }
    UNROLL for (int r = 0; r < TILE; r++) {
      vec value = all_of(tokens[r] + u);
      UNROLL for (int v = 0; v < form.vectors; v++) {
        sums[r][v] = multiply_add(value, line[v], sums[r][v], form.element);
      }
    }
    lines += form.vectors * LANES;
  }
}

/* Some tokens, TILE at most; those beyond `count` repeat the last and are not stored. */
struct tile {
  const float *tokens[TILE];
  int64_t count, units;
};

INLINE struct tile tile_of(const char *from, int64_t step, int64_t count, int64_t units) {
  struct tile tile = {.count = count < TILE ? count : TILE, .units = units};
  UNROLL for (int r = 0; r < TILE; r++) {
    tile.tokens[r] =
        (const float *)(const void *)(from + (r < tile.count ? r : tile.count - 1) * step);
  }
  return tile;
}

/* The ranks of a group of a tile of x, rounded, to inner: a token's every `step` units, `room`
 * values of which are written, `at` the first of the group. */
struct ranks {
  float *inner;
  int64_t step, room, at;
};
INLINE void find_ranks(const struct tile *tile, const float *lines, const struct form form,
                       const struct ranks *to) {
  vec sums[TILE][VECTORS];
  multiply_tokens(tile->tokens, lines, tile->units, form, sums);
  UNROLL for (int r = 0; r < TILE; r++) {
    UNROLL for (int v = 0; v < form.vectors; v++) {
      int64_t at = to->at + v * LANES;
      store_some(to->inner + r * to->step, form.element, at, sums[r][v], lanes_left(at, to->room));
    }
  }
}

/* y += the outputs of a group of a tile of ranks; y: the tile's first token, `at` the first
 * output of the group, `step` values from token to token. */
struct outputs {
  char *y;
  enum element element;
  int64_t at, count, step;
};
INLINE void add_outputs(const struct tile *tile, const float *lines, const struct form form,
                        const struct outputs *to) {
  vec sums[TILE][VECTORS];
  multiply_tokens(tile->tokens, lines, tile->units, form, sums);
  int64_t first = to->at;
  if (tile->count == TILE && first + form.vectors * LANES <= to->count) {
    UNROLL for (int r = 0; r < TILE; r++) {
      UNROLL for (int v = 0; v < form.vectors; v++) {
        int64_t index = r * to->step + first + v * LANES;
        store_all(to->y, to->element, index, load_all(to->y, to->element, index) + sums[r][v]);
      }
    }
    return;
  }
  for (int64_t r = 0; r < tile->count; r++) {
    for (int64_t v = 0; v < form.vectors && first + v * LANES < to->count; v++) {
      int64_t at = first + v * LANES, index = r * to->step + at, some = lanes_left(at, to->count);
      vec sum = load_some(to->y, to->element, index, some) + sums[r][v];
      store_some(to->y, to->element, index, sum, some);
    }
  }
}

/* function(arguments, form) with the number of vectors known to the compiler. */
#define BY_VECTORS(function, number, element, ...)            \
  do {                                                        \
    if ((number) == 1) {                                      \
      function(__VA_ARGS__, (struct form){element, 1});       \
    } else if ((number) == 2) {                               \
      function(__VA_ARGS__, (struct form){element, 2});       \
    } else {                                                  \
      function(__VA_ARGS__, (struct form){element, VECTORS}); \
    }                                                         \
  } while (0)

/* Tokens [from, to) of a job. */
struct stretch {
  const struct adapt *a;
  const struct adapt_job *job;
  int64_t from, to, rank_units;
  float *inner; /* [tokens in a block][rank_units] */
};

INLINE void find_group(const struct stretch *s, int64_t start, const struct form form) {
  const struct adapt *a = s->a;
  int64_t units = units_of(a->inputs, form.element);
  const float *lines = a->packed + s->job->down + start * units * LANES;
  for (int64_t t = s->from; t < s->to; t += TILE) {
    const struct tile tile = tile_of(s->job->x + t * units * 4, units * 4, s->to - t, units);
    const struct ranks ranks = {.inner = s->inner + (t - s->from) * s->rank_units,
                                .step = s->rank_units,
                                .room = s->rank_units * per_unit(form),
                                .at = start * LANES};
    find_ranks(&tile, lines, form, &ranks);
  }
}

INLINE void add_group(const struct stretch *s, enum element to, int64_t start,
                      const struct form form) {
  const struct adapt *a = s->a;
  const float *lines = a->packed + s->job->up + start * s->rank_units * LANES;
  int64_t y_bytes = a->y_step * (to == ELEMENT_BF16 ? 2 : 4);
  for (int64_t t = s->from; t < s->to; t += TILE) {
    const char *inner = (const char *)(s->inner + (t - s->from) * s->rank_units);
    const struct tile tile = tile_of(inner, s->rank_units * 4, s->to - t, s->rank_units);
    const struct outputs outputs = {.y = s->job->y + t * y_bytes,
                                    .element = to,
                                    .at = start * LANES,
                                    .count = a->outputs,
                                    .step = a->y_step};
    add_outputs(&tile, lines, form, &outputs);
  }
}

INLINE void adapt_as(const struct stretch *s, enum element element, enum element to) {
  int64_t ranks = vectors_of(s->job->module->rank), outputs = vectors_of(s->a->outputs);
  for (int64_t v = 0; v < ranks; v += VECTORS) {
    BY_VECTORS(find_group, group_at(v, ranks), element, s, v);
  }
  for (int64_t v = 0; v < outputs; v += VECTORS) {
    BY_VECTORS(add_group, group_at(v, outputs), element, s, to, v);
  }
}

static void adapt(const void *arguments, int64_t first, int64_t end) {
  const struct adapt *a = arguments;
  float inner[ADAPT_BLOCK * ADAPTER_RANK_MAX];
  for (int64_t item = first; item < end; item++) {
    int64_t from = item % a->blocks * ADAPT_BLOCK, to = from + ADAPT_BLOCK;
    struct stretch s = {.a = a,
                        .job = &a->jobs[item / a->blocks],
                        .from = from,
                        .to = to < a->tokens ? to : a->tokens,
                        .inner = inner};
    s.rank_units = units_of(s.job->module->rank, a->element);
    if (a->element == ELEMENT_F32) {
      adapt_as(&s, ELEMENT_F32, ELEMENT_F32);
    } else if (a->y_element == ELEMENT_F32) {
      adapt_as(&s, ELEMENT_BF16, ELEMENT_F32);
    } else {
      adapt_as(&s, ELEMENT_BF16, ELEMENT_BF16);
    }
  }
}
