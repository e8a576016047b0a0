/* attention.c - a block of queries walking over keys. Part of every level_*.c.
 *
 * Queries lie across the lanes: a tile of scores is some keys times up to VECTORS vectors of
 * queries, kept in registers until it has become weights, so the running maximum and sum need no
 * shuffles. All values are read in units of four bytes, a float or a pair of bf16 (products.h).
 */
#include <math.h>

#include "base/progress.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/functions.h"
#include "kernels/cpu/bodies/packing.h"
#include "kernels/cpu/bodies/products.h"
#include "kernels/cpu/openmp.h"

/* Weights are 2^(score * scale - level), level near the largest score * scale so far: it may be
 * exceeded by HEADROOM, for which f32 has room, before all that was summed is brought to a new one,
 * which is seldom. */
#define HEADROOM 24.0f

enum { AT_ONCE = 4 }; /* scores turned into weights; divides TILE */
/* How many keys a block walks over before it counts as progress: 0.2 ms at d = 40. A block alone
 * would be too much: with 65536 keys at d = 512 it takes 40 ms on a fast machine. */
enum { COUNTED_KEYS = 4096 };

/* A thread's working memory for one block of queries; lines are `vectors` vectors wide. */
struct block {
  float *q;                   /* [depth / g] lines of units */
  float *weights;             /* [keys / g] lines of units: those of keys [from, to) */
  float *outputs;             /* [panels * 16] lines */
  float *level, *sum;         /* a line each */
  float *most;                /* a line: the scores of weight 2^HEADROOM */
  int64_t from, to;           /* keys weighed and not yet summed into outputs */
  int64_t token, rows;        /* queries [token, token + rows) */
  int64_t length;             /* keys there are */
  const float *keys, *values; /* packed */
  float scale;                /* e^(score / sqrt(d)) = 2^(score * scale) */
};

static struct block start_block(const struct flash *f, char *work, int64_t index) {
  struct block b = {.token = index * f->queries};
  b.rows = f->tokens - b.token < f->queries ? f->tokens - b.token : f->queries;
  b.q = (float *)work;
  b.weights = b.q + f->depth / f->per_unit * f->queries;
  b.outputs = b.weights + f->keys / f->per_unit * f->queries;
  b.level = b.outputs + f->panels * PANEL * f->queries;
  b.sum = b.level + f->queries;
  b.most = b.sum + f->queries;
  b.scale = 1.44269504f / sqrtf((float)f->d);
  return b;
}

INLINE void load_queries(const struct flash *f, const struct block *b, int64_t pair,
                         const struct form form) {
  const struct columns *q = &f->attention->q;
  int64_t row = pair / f->heads * f->tokens + b->token, step = q->tensor->shape[2];
  const char *from = (const char *)q->tensor->data +
                     (row * step + q->first + pair % f->heads * f->d) * f->element_bytes;
  for (int v = 0; v < form.vectors; v++) {
    const struct strip strip = {.from = from + v * LANES * step * f->element_bytes,
                                .step = step * f->element_bytes,
                                .rows = b->rows - v * LANES,
                                .bytes = f->d * f->element_bytes};
    transpose_strip(&strip, b->q + v * LANES, form.vectors * LANES);
  }
}

/* Lines of `outputs` += values of keys [from, to) times their weights. */
INLINE void sum_weights(const struct flash *f, struct block *b, const struct form form) {
  int64_t units = (b->to - b->from) / per_unit(form),
          panel_units = f->keys_max / per_unit(form) * PANEL;
  const float *values = b->values + b->from / per_unit(form) * PANEL;
  for (int64_t c = 0; c < f->d && units > 0; c += TILE) {
    vec sums[TILE][VECTORS];
    float *outputs = b->outputs + c * form.vectors * LANES;
    load_tile(outputs, form, sums);
    multiply(values + c / PANEL * panel_units + c % PANEL, b->weights, units, form, sums);
    store_tile(outputs, form, sums);
  }
  b->from = b->to;
}

/* Brings everything to the level of larger scores. */
static void raise_level(const struct flash *f, struct block *b, const vec largest[VECTORS],
                        const struct form form) {
  sum_weights(f, b, form);
  for (int v = 0; v < form.vectors; v++) {
    vec before = load_f32(b->level + v * LANES);
    vec now = at_least(before, largest[v] * b->scale);
    vec shrink = exp2_of(before - now);
    store_f32(b->level + v * LANES, now);
    store_f32(b->most + v * LANES, (now + HEADROOM) / b->scale);
    store_f32(b->sum + v * LANES, load_f32(b->sum + v * LANES) * shrink);
    for (int64_t c = 0; c < f->panels * PANEL; c++) {
      float *output = b->outputs + (c * form.vectors + v) * LANES;
      store_f32(output, load_f32(output) * shrink);
    }
  }
}

/* Scores of keys that a query may not see become minus infinity. */
INLINE void hide_keys(const struct flash *f, const struct block *b, int64_t key,
                      const struct form form, vec scores[TILE][VECTORS]) {
  for (int v = 0; v < form.vectors; v++) {
    vec seen;
    for (int i = 0; i < LANES; i++) {
      int64_t before = b->token + v * LANES + i + 1;
      seen[i] = (float)((f->attention->causal && before < b->length ? before : b->length) - key);
    }
    UNROLL for (int r = 0; r < TILE; r++) {
      ivec visible = seen > (float)r;
      scores[r][v] = (vec)(((ivec)scores[r][v] & visible) | ((ivec)all(-INFINITY) & ~visible));
    }
  }
}

/* Some scores become weights, step by step: each step waits for the one before. */
INLINE void weigh_scores(vec scores[AT_ONCE], vec slope, vec level, const float *powers) {
  vec fraction[AT_ONCE], weight[AT_ONCE];
  UNROLL for (int i = 0; i < AT_ONCE; i++) {
    scores[i] = fused(scores[i], slope, -level);
    fraction[i] = fraction_of(scores[i]);
    weight[i] = all_of(powers + EXP2_DEGREE);
  }
  UNROLL for (int power = EXP2_DEGREE - 1; power >= 0; power--) {
    UNROLL for (int i = 0; i < AT_ONCE; i++) {
      weight[i] = fused(weight[i], fraction[i], all_of(powers + power));
    }
  }
  UNROLL for (int i = 0; i < AT_ONCE; i++) { scores[i] = with_whole_of(weight[i], scores[i]); }
}

/* Turns a tile of scores into weights and adds them up. */
INLINE void weigh(struct block *b, const struct form form, vec scores[TILE][VECTORS]) {
  float *line = b->weights + (b->to - b->from) / per_unit(form) * form.vectors * LANES;
  const float *powers = exp2_powers;
  __asm__("" : "+r"(powers)); /* else they are kept in registers, and sums of `multiply` are not */
  UNROLL for (int v = 0; v < form.vectors; v++) {
    vec slope = all_of(&b->scale), level = load_f32(b->level + v * LANES);
    vec sum = load_f32(b->sum + v * LANES);
    UNROLL for (int r = 0; r < TILE; r += AT_ONCE) {
      vec some[AT_ONCE];
      UNROLL for (int i = 0; i < AT_ONCE; i++) { some[i] = scores[r + i][v]; }
      weigh_scores(some, slope, level, powers);
      sum += (some[0] + some[1]) + (some[2] + some[3]);
      UNROLL for (int i = 0; i < AT_ONCE; i += per_unit(form)) {
        vec unit = form.element == ELEMENT_BF16 ? pair_of(some[i], some[i + 1]) : some[i];
        store_f32(line + ((r + i) / per_unit(form) * form.vectors + v) * LANES, unit);
      }
    }
    store_f32(b->sum + v * LANES, sum);
  }
}

/* The tile of keys from `key` on. */
INLINE void attend_keys(const struct flash *f, struct block *b, int64_t key,
                        const struct form form) {
  vec scores[TILE][VECTORS], largest[VECTORS];
  UNROLL for (int r = 0; r < TILE; r++) {
    UNROLL for (int v = 0; v < form.vectors; v++) { scores[r][v] = all(0); }
  }
  int64_t depth = f->depth / per_unit(form);
  multiply(b->keys + key / PANEL * PANEL * depth + key % PANEL, b->q, depth, form, scores);
  if (key + TILE > b->length || (f->attention->causal && key + TILE > b->token + 1)) {
    hide_keys(f, b, key, form, scores);
  }
  bool raise = false;
  UNROLL for (int v = 0; v < form.vectors; v++) {
    largest[v] = scores[0][v];
    UNROLL for (int r = 1; r < TILE; r++) { largest[v] = at_least(largest[v], scores[r][v]); }
    raise |= any_above(largest[v], load_f32(b->most + v * LANES));
  }
  if (raise) {
    raise_level(f, b, largest, form);
  }
  weigh(b, form, scores);
  b->to = key + TILE;
}

INLINE void store_outputs(const struct flash *f, const struct block *b, int64_t pair,
                          const struct form form) {
  int64_t width = f->heads * f->d;
  int64_t start = (pair / f->heads * f->tokens + b->token) * width + pair % f->heads * f->d;
  for (int v = 0; v < form.vectors; v++) {
    vec share = 1.0f / load_f32(b->sum + v * LANES);
    for (int64_t c = 0; c < f->d; c += LANES) {
      vec square[LANES];
      UNROLL for (int i = 0; i < LANES; i++) {
        square[i] = load_f32(b->outputs + ((c + i) * form.vectors + v) * LANES) * share;
      }
      transpose(square);
      for (int64_t r = 0; r < LANES && v * LANES + r < b->rows; r++) {
        store_some(f->y->data, form.element, start + (v * LANES + r) * width + c, square[r],
                   lanes_left(c, f->d));
      }
    }
  }
}

INLINE void attend_block(const struct flash *f, struct block *b, int64_t pair,
                         const struct form form) {
  int64_t keys =
      f->attention->causal && b->token + b->rows < b->length ? b->token + b->rows : b->length;
  load_queries(f, b, pair, form);
  for (int64_t i = 0; i < form.vectors * LANES; i++) {
    b->level[i] = b->most[i] = -INFINITY;
    b->sum[i] = 0;
  }
  memset(b->outputs, 0, (size_t)(f->panels * PANEL * form.vectors * LANES) * sizeof(float));
  for (int64_t key = 0; key < keys; key += TILE) {
    if (b->to - b->from == f->keys) {
      sum_weights(f, b, form);
    }
    if (key % COUNTED_KEYS == 0) {
      progress_count();
    }
    attend_keys(f, b, key, form);
  }
  sum_weights(f, b, form);
  store_outputs(f, b, pair, form);
}

INLINE void attend_as(const struct flash *f, struct block *b, int64_t pair, enum element element) {
  if (b->rows <= LANES) {
    attend_block(f, b, pair, (struct form){element, 1});
  } else if (b->rows <= 2 * LANES) {
    attend_block(f, b, pair, (struct form){element, 2});
  } else {
    attend_block(f, b, pair, (struct form){element, VECTORS});
  }
}

static void attend(const void *arguments, int64_t first, int64_t end) {
  const struct flash *f = arguments;
  char *work = f->work + omp_get_thread_num() * f->work_bytes;
  for (int64_t item = first; item < end; item++) {
    int64_t pair = f->first + item / f->blocks;
    struct block b = start_block(f, work, item % f->blocks);
    b.length = flash_memory(f, pair).length;
    b.keys = packed_keys(f, pair);
    b.values = packed_values(f, pair);
    if (f->element == ELEMENT_BF16) {
      attend_as(f, &b, pair, ELEMENT_BF16);
    } else {
      attend_as(f, &b, pair, ELEMENT_F32);
    }
  }
}
