/* bodies.h - the inner loops of our own ops, compiled once per level of processor, and what they
 * are given.
 *
 * bodies/ holds their text, level_*.c compile it under their target and make a table of it; the
 * device picks one table. A body does items [first, end); what an item computes must not depend on
 * the piece it comes in.
 */
#ifndef DARKROOM_KERNELS_CPU_BODIES_H
#define DARKROOM_KERNELS_CPU_BODIES_H

#include "kernels/backend.h"

typedef void (*kernel_body)(const void *arguments, int64_t first, int64_t end);

#define PANEL 16

/* Every body: X(name). */
#define BODIES(X)                                                            \
  X(pixels)         /* flat */                                               \
  X(geglu)          /* rows */                                               \
  X(embed)          /* embed: item = token */                                \
  X(activate)       /* activate: item = value */                             \
  X(convert)        /* convert: item = value */                              \
  X(add_rows)       /* add_rows: item = row */                               \
  X(add_scaled)     /* scaled: item = image * pieces + piece */              \
  X(pack_adapters)  /* adapt: item = job */                                  \
  X(adapt)          /* adapt: item = job * blocks + block */                 \
  X(prepare)        /* addends: item = pixel */                              \
  X(measure_runs)   /* group_norm: item = image * runs + run */              \
  X(join_runs)      /* group_norm: item = (image * padded + channel) / 16 */ \
  X(apply_runs)     /* group_norm: item = image * runs + run */              \
  X(normalise_rows) /* layer_norm: item = row */                             \
  X(pack)           /* flash: item = 16 keys of a pair */                    \
  X(attend)         /* flash: item = a block of queries of a pair */         \
  X(pack_direct)    /* direct_source: item = a panel of outputs */           \
  X(direct)         /* direct: item = a block of pixels times a panel of outputs */

struct bodies {
#define BODIES_SLOT(name) kernel_body name;
  BODIES(BODIES_SLOT)
#undef BODIES_SLOT
  int64_t attend_queries; /* in a block of attention */
};
extern const struct bodies bodies_plain, bodies_avx2, bodies_avx512;

/* Values one by one. */
struct flat {
  const struct tensor *a, *y;
};

struct rows {
  const struct tensor *x, *y;
  int64_t width; /* of y */
};

struct activate {
  const struct tensor *x, *y;
  enum activation activation;
};

struct embed {
  const struct words *words;
  const int32_t *ids;
  const struct tensor *y;
};

struct add_rows {
  const struct batch_row *rows;
  int64_t first; /* of what they add */
  const struct tensor *x, *y;
};

/* Image b of y += scale[b] * x[b]; x NULL: nothing. */
struct scaled {
  const void *x[BATCH_ROWS_MAX];
  float scale[BATCH_ROWS_MAX];
  const struct tensor *y;
  int64_t each, pieces, piece; /* values of an image, pieces of it, values of a piece */
};

/* Adapters (adapt.c): one row's module is a job. */
struct adapt_job {
  const char *x; /* the row's first token */
  char *y;       /* the module's columns of it */
  const struct adapter_module *module;
  int64_t down, up; /* where it lies in `packed`, as lines of units */
  bool packs;       /* first of the jobs that share them */
};
struct adapt {
  const struct adapt_job *jobs;
  float *packed;
  enum element element, y_element;
  int64_t tokens, inputs, outputs; /* of a job */
  int64_t y_step;                  /* values from one token of y to the next */
  int64_t blocks;                  /* of ADAPT_BLOCK tokens, in a job */
};
#define ADAPT_BLOCK 32 /* whole tiles of every level */

/* What y holds before a convolution: channels + residual; residual may be missing. */
struct addends {
  const struct tensor *channels, *residual, *y;
};

struct group_norm {
  const struct tensor *x, *y;
  const struct norm *norm;
  bool silu;
  int64_t pixels, channels, padded; /* padded: channels rounded up to a multiple of 16 */
  int64_t run_pixels, runs;         /* per image */
  float *means, *squares;           /* [B, runs, padded] */
  float *scales, *shifts;           /* [B, padded]: y = x * scale + shift */
};

struct layer_norm {
  const struct tensor *x, *y;
  const struct norm *norm;
  int64_t channels;
};

/* Attention by blocks (attention.c). A pair is a batch row and a head. */
struct flash {
  const struct attention *attention;
  const struct tensor *y;
  enum element element;
  int64_t element_bytes, per_unit; /* elements in the four bytes of a unit: 1 or 2 */
  int64_t batch, heads, tokens, d;
  int64_t depth, panels; /* d made even; panels of 16 columns that hold d */
  int64_t blocks;        /* of queries, per pair */
  int64_t queries, keys; /* in a block */
  int64_t first, count;  /* pairs that are packed now */
  int64_t keys_max;      /* of any batch row, in whole panels: the room of one pair */
  char *packed;
  char *work; /* one piece per thread */
  int64_t packed_bytes, work_bytes;
};

/* Keys and values of one pair: key j at keys + j * key_step bytes. */
struct memory {
  int64_t pair;
  const char *keys, *values;
  int64_t length, key_step, value_step;
};
struct memory flash_memory(const struct flash *flash, int64_t pair);

static inline int64_t whole_panels(int64_t count) { return (count + PANEL - 1) / PANEL * PANEL; }

#endif
