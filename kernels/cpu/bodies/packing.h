/* packing.h - keys and values of a pair into panels, queries into lines. Part of every level_*.c.
 *
 * Packed keys: panels of 16 keys, in each [depth / g][16] units. Packed values: panels of 16
 * columns of d, in each [keys / g][16] units. g = 2 for bf16, 1 for f32.
 */
#ifndef DARKROOM_KERNELS_CPU_BODIES_PACKING_H
#define DARKROOM_KERNELS_CPU_BODIES_PACKING_H

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/units.h"

static float *packed_keys(const struct flash *f, int64_t pair) {
  return (float *)(f->packed + (pair - f->first) * f->packed_bytes);
}
static float *packed_values(const struct flash *f, int64_t pair) {
  return packed_keys(f, pair) + f->keys_max * (f->depth / f->per_unit);
}

/* Some rows of `bytes` each; beyond the last row there are zeros. */
struct strip {
  const char *from;
  int64_t step; /* bytes from row to row */
  int64_t rows, bytes;
};

/* Up to LANES rows become columns: unit u of row i goes to[u * to_step + i]. */
INLINE void transpose_strip(const struct strip *s, float *to, int64_t to_step) {
  const int64_t vector_bytes = LANES * 4;
  for (int64_t byte = 0; byte < s->bytes; byte += vector_bytes) {
    int64_t some = s->bytes - byte < vector_bytes ? s->bytes - byte : vector_bytes;
    vec square[LANES];
    for (int i = 0; i < LANES; i++) {
      square[i] = i < s->rows ? load_bytes(s->from + i * s->step + byte, some) : all(0);
    }
    transpose(square);
    for (int64_t u = 0; u < (some + 3) / 4; u++) {
      store_f32(to + (byte / 4 + u) * to_step, square[u]);
    }
  }
}

INLINE void pack_keys(const struct flash *f, const struct memory *m, int64_t key) {
  float *to = packed_keys(f, m->pair) + key * (f->depth / f->per_unit);
  for (int64_t i = 0; i < PANEL; i += LANES) {
    const struct strip strip = {.from = m->keys + (key + i) * m->key_step,
                                .step = m->key_step,
                                .rows = m->length - key - i,
                                .bytes = f->d * f->element_bytes};
    transpose_strip(&strip, to + i, PANEL);
  }
}

/* Columns c.. of value j, zeros beyond the last. */
INLINE vec value_columns(const struct flash *f, const struct memory *m, enum element e, int64_t j,
                         int64_t c) {
  return j < m->length && c < f->d
             ? load_some(m->values + j * m->value_step, e, c, lanes_left(c, f->d))
             : all(0);
}

INLINE void pack_values(const struct flash *f, const struct memory *m, enum element e,
                        int64_t key) {
  float *to = packed_values(f, m->pair) + key / f->per_unit * PANEL;
  for (int64_t c = 0; c < f->panels * PANEL; c += LANES) {
    float *column = to + c / PANEL * f->keys_max / f->per_unit * PANEL + c % PANEL;
    for (int64_t j = key; j < key + PANEL; j += 2) {
      vec first = value_columns(f, m, e, j, c), second = value_columns(f, m, e, j + 1, c);
      if (e == ELEMENT_BF16) {
        store_f32(column, pair_of(first, second));
      } else {
        store_f32(column, first);
        column += PANEL;
        store_f32(column, second);
      }
      column += PANEL;
    }
  }
}

/* An item is 16 keys of a pair. */
static void pack(const void *arguments, int64_t first, int64_t end) {
  const struct flash *f = arguments;
  int64_t panels = f->keys_max / PANEL;
  for (int64_t item = first; item < end; item++) {
    const struct memory m = flash_memory(f, f->first + item / panels);
    int64_t key = item % panels * PANEL;
    if (key >= m.length) {
      continue;
    }
    pack_keys(f, &m, key);
    if (f->element == ELEMENT_BF16) {
      pack_values(f, &m, ELEMENT_BF16, key);
    } else {
      pack_values(f, &m, ELEMENT_F32, key);
    }
  }
}

#endif
