/* attention.c - packing keys and values, and a block of queries walking over them. Part of every
 * level_*.c. */
#include <math.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/functions.h"
#include "kernels/cpu/openmp.h"

/* Packed keys: panels of 16 keys, then within [depth / g][16][g] with g = 2 for bf16, 1 for f32. */
static char *packed_keys(const struct flash *f, int64_t pair) {
  return f->packed + (pair - f->first) * f->packed_bytes;
}
/* Packed values: panels of 16 columns of d, each [keys / g][16][g]. */
static char *packed_values(const struct flash *f, int64_t pair) {
  return packed_keys(f, pair) + f->keys_max * f->depth * f->element_bytes;
}

/* ---- packing: an item is 16 keys of a pair ---- */

INLINE void pack_keys_bf16(const struct flash *f, const struct memory *m, int64_t key,
                           uint16_t *to) {
  for (int64_t j = 0; j < PANEL; j++) {
    bool real = key + j < m->length;
    const uint16_t *from = (const uint16_t *)(m->keys + (real ? key + j : 0) * m->key_step);
    for (int64_t c = 0; c < f->depth; c += 2) {
      to[c * PANEL + 2 * j] = real ? from[c] : 0;
      to[c * PANEL + 2 * j + 1] = real && c + 1 < f->d ? from[c + 1] : 0;
    }
  }
}

INLINE void pack_keys_f32(const struct flash *f, const struct memory *m, int64_t key, float *to) {
  for (int64_t j = 0; j < PANEL; j++) {
    bool real = key + j < m->length;
    const float *from = (const float *)(m->keys + (real ? key + j : 0) * m->key_step);
    for (int64_t c = 0; c < f->depth; c++) {
      to[c * PANEL + j] = real && c < f->d ? from[c] : 0;
    }
  }
}

INLINE void pack_values_bf16(const struct flash *f, const struct memory *m, int64_t key,
                             uint16_t *to) {
  for (int64_t j = 0; j < PANEL; j++) {
    bool real = key + j < m->length;
    const uint16_t *from = (const uint16_t *)(m->values + (real ? key + j : 0) * m->value_step);
    uint16_t *row = to + (key + j) / 2 * 2 * PANEL + (j & 1);
    for (int64_t c = 0; c < f->panels * PANEL; c++) {
      row[c / PANEL * f->keys_max * PANEL + c % PANEL * 2] = real && c < f->d ? from[c] : 0;
    }
  }
}

INLINE void pack_values_f32(const struct flash *f, const struct memory *m, int64_t key, float *to) {
  for (int64_t j = 0; j < PANEL; j++) {
    bool real = key + j < m->length;
    const float *from = (const float *)(m->values + (real ? key + j : 0) * m->value_step);
    for (int64_t c = 0; c < f->panels * PANEL; c++) {
      to[c / PANEL * f->keys_max * PANEL + (key + j) * PANEL + c % PANEL] =
          real && c < f->d ? from[c] : 0;
    }
  }
}

static void pack(const void *arguments, int64_t first, int64_t end) {
  const struct flash *f = arguments;
  int64_t panels = f->keys_max / PANEL;
  for (int64_t item = first; item < end; item++) {
    int64_t pair = f->first + item / panels, key = item % panels * PANEL;
    const struct memory m = flash_memory(f, pair);
    char *keys = packed_keys(f, pair) + key * f->depth * f->element_bytes,
         *values = packed_values(f, pair);
    if (key >= m.length) {
      continue;
    }
    if (f->element == ELEMENT_BF16) {
      pack_keys_bf16(f, &m, key, (uint16_t *)keys);
      pack_values_bf16(f, &m, key, (uint16_t *)values);
    } else {
      pack_keys_f32(f, &m, key, (float *)keys);
      pack_values_f32(f, &m, key, (float *)values);
    }
  }
}

/* ---- attending: an item is a block of queries of a pair ---- */

/* A thread's working memory for one block of queries. */
struct block {
  char *q;              /* [queries, depth] elements */
  char *weights;        /* [queries, keys] elements: exp(score - maximum) */
  float *scores;        /* [queries, keys] */
  float *outputs;       /* [queries, panels * 16] */
  float *largest, *sum; /* [f->queries] */
  int64_t rows, token;  /* queries [token, token + rows) */
};

static struct block start_block(const struct flash *f, char *work, int64_t index) {
  struct block b = {.token = index * f->queries};
  b.rows = f->tokens - b.token < f->queries ? f->tokens - b.token : f->queries;
  b.scores = (float *)work;
  b.outputs = b.scores + f->queries * f->keys;
  b.largest = b.outputs + f->queries * f->panels * PANEL;
  b.sum = b.largest + f->queries;
  b.weights = (char *)(b.sum + f->queries);
  b.q = b.weights + f->queries * f->keys * f->element_bytes;
  return b;
}

INLINE void load_queries(const struct flash *f, const struct block *b, int64_t pair) {
  const struct columns *q = &f->attention->q;
  int64_t row = pair / f->heads * f->tokens + b->token;
  int64_t start = row * q->tensor->shape[2] + q->first + pair % f->heads * f->d;
  for (int64_t r = 0; r < b->rows; r++) {
    char *to = b->q + r * f->depth * f->element_bytes;
    if (f->depth > f->d) {
      memset(to + f->d * f->element_bytes, 0, (size_t)f->element_bytes);
    }
    memcpy(to, (const char *)q->tensor->data + (start + r * q->tensor->shape[2]) * f->element_bytes,
           (size_t)(f->d * f->element_bytes));
  }
}

/* Scores of keys that row r may not see become minus infinity. */
INLINE void hide_keys(float *scores, int64_t seen, int64_t columns) {
  for (int64_t j = seen < 0 ? 0 : seen; j < columns; j++) {
    scores[j] = -INFINITY;
  }
}

/* Turns row r's scores into weights against the maximum so far; what was summed before is brought
 * to the new maximum. */
INLINE void weigh_row(const struct flash *f, const struct block *b, enum element e, int64_t r,
                      int64_t columns) {
  const float *scores = b->scores + r * f->keys;
  char *weights = b->weights + r * f->keys * f->element_bytes;
  float *outputs = b->outputs + r * f->panels * PANEL;
  float scale = 1.44269504f / sqrtf((float)f->d); /* e^x = 2^(x log2 e) */
  vec most = all(b->largest[r]);
  for (int64_t j = 0; j < columns; j += LANES) {
    most = at_least(most, load_f32(scores + j));
  }
  float largest = largest_of(most);
  vec sum = all(0), offset = all(-largest * scale), slope = all(scale);
  for (int64_t j = 0; j < columns; j += LANES) {
    vec weight = exp2_of(fused(load_f32(scores + j), slope, offset));
    sum += weight;
    store_all(weights, e, j, weight);
  }
  if (b->largest[r] == -INFINITY) {
    b->sum[r] = sum_of(sum);
  } else {
    float shrink = exp2f((b->largest[r] - largest) * scale);
    b->sum[r] = b->sum[r] * shrink + sum_of(sum);
    for (int64_t c = 0; c < f->panels * PANEL; c += LANES) {
      store_f32(outputs + c, load_f32(outputs + c) * shrink);
    }
  }
  b->largest[r] = largest;
}

INLINE void attend_keys(const struct flash *f, const struct block *b, const struct memory *m,
                        int64_t pair, int64_t key) {
  int64_t rest = m->length - key, columns = whole_panels(rest < f->keys ? rest : f->keys);
  const struct product scores = {.a = b->q,
                                 .a_step = f->depth,
                                 .b = packed_keys(f, pair) + key * f->depth * f->element_bytes,
                                 .b_step = f->depth * PANEL,
                                 .c = b->scores,
                                 .c_step = f->keys,
                                 .rows = b->rows,
                                 .panels = columns / PANEL,
                                 .depth = f->depth};
  f->product(&scores);
  for (int64_t r = 0; r < b->rows; r++) {
    int64_t seen =
        f->attention->causal && b->token + r + 1 - key < rest ? b->token + r + 1 - key : rest;
    hide_keys(b->scores + r * f->keys, seen, columns);
    if (f->element == ELEMENT_BF16) {
      weigh_row(f, b, ELEMENT_BF16, r, columns);
    } else {
      weigh_row(f, b, ELEMENT_F32, r, columns);
    }
  }
  const struct product outputs = {.a = b->weights,
                                  .a_step = f->keys,
                                  .b = packed_values(f, pair) + key * PANEL * f->element_bytes,
                                  .b_step = f->keys_max * PANEL,
                                  .c = b->outputs,
                                  .c_step = f->panels * PANEL,
                                  .rows = b->rows,
                                  .panels = f->panels,
                                  .depth = columns,
                                  .adds = key > 0};
  f->product(&outputs);
}

INLINE void store_outputs(const struct flash *f, const struct block *b, int64_t pair) {
  int64_t width = f->heads * f->d;
  int64_t start = (pair / f->heads * f->tokens + b->token) * width + pair % f->heads * f->d;
  for (int64_t r = 0; r < b->rows; r++) {
    float share = 1 / b->sum[r];
    for (int64_t c = 0; c < f->d; c += LANES) {
      vec value = load_f32(b->outputs + r * f->panels * PANEL + c) * share;
      if (f->element == ELEMENT_BF16) {
        store_some(f->y->data, ELEMENT_BF16, start + r * width + c, value, lanes_left(c, f->d));
      } else {
        store_some(f->y->data, ELEMENT_F32, start + r * width + c, value, lanes_left(c, f->d));
      }
    }
  }
}

static void attend(const void *arguments, int64_t first, int64_t end) {
  const struct flash *f = arguments;
  char *work = f->work + omp_get_thread_num() * f->work_bytes;
  for (int64_t item = first; item < end; item++) {
    int64_t pair = f->first + item / f->blocks;
    const struct memory m = flash_memory(f, pair);
    struct block b = start_block(f, work, item % f->blocks);
    int64_t keys =
        f->attention->causal && b.token + b.rows < m.length ? b.token + b.rows : m.length;
    load_queries(f, &b, pair);
    for (int64_t r = 0; r < b.rows; r++) {
      b.largest[r] = -INFINITY;
    }
    for (int64_t key = 0; key < keys; key += f->keys) {
      attend_keys(f, &b, &m, pair, key);
    }
    store_outputs(f, &b, pair);
  }
}
