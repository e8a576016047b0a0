/* fake_knobs.h - what the fake model has seen, and what it shall do wrong. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_KNOBS_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_KNOBS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"
#include "worker/engine/pulse.h"

enum { FAKE_WIDTH = 4, FAKE_CALLS_MAX = 4096 };

/* What the engine asked for, and what to do wrong. */
static struct fake {
  int opened, conditioned, calls, decoded, encoded, previews;
  bool blind, encode_overflows;              /* no encoder; encodes are not finite */
  int adapters, adaptations, embeddings;     /* that are open */
  int adapters_opened, adaptations_opened;   /* so far */
  int adapters_hashed;                       /* opened with their sha256 */
  int merges, merge_layers;                  /* begun so far; how many layers each has */
  int64_t merge_ms;                          /* how far a held clock moves for each */
  enum status merge_status;                  /* of their last layer, instead of OK */
  size_t merge_bytes, merge_scratch;         /* claimed for one, and while it is made (0: few) */
  int rows[FAKE_CALLS_MAX];                  /* of each U-Net call */
  int64_t cells[FAKE_CALLS_MAX];             /* its height x width */
  int net_conditioned, hints;                /* of control nets */
  int64_t hint_cells;                        /* of the last */
  int factor;                                /* pixels of a cell, of all models and nets; 0: 8 */
  int hint_fails;                            /* EXHAUSTED once, at that hint from now; 0: never */
  int nets[FAKE_CALLS_MAX];                  /* on in a call */
  const void *models[FAKE_CALLS_MAX];        /* whose it was */
  float timesteps[BATCH_ROWS_MAX];           /* of the last call */
  float conditionings[BATCH_ROWS_MAX];       /* of the last call: a number made from the prompt */
  enum status predict_status;                /* instead of OK */
  int rows_fit;                              /* EXHAUSTED with more rows than that; 0: any */
  bool overflows;                            /* decodes are not finite, but in f32 */
  enum status exact_status;                  /* of a decode in f32, instead of OK */
  int exact;                                 /* decodes in f32 */
  bool skewed;                               /* decodes come out darker, all alike */
  bool restless;                             /* the same input gives another output every time */
  size_t predict_bytes_of_row, decode_bytes; /* claimed scratch a row and cell, a cell (0: few) */
  int loads, layers;                         /* on demand so far; how many layers each has */
  int64_t layer_ms;                          /* how far a held clock moves for each */
  size_t weight_bytes;                       /* of a model; 0: few */
  int64_t row_ms, decode_ms, encode_ms;      /* how far a held clock moves for each of these, */
  int64_t net_ms;                            /* and beside a row for a net */
  int64_t decode_turns, tile_ms; /* tiles of a decode, 0: at once; a held clock moves for one */
  int64_t encode_turns;          /* the same of an encode, */
  int encode_tiles;              /* and those asked for */
  size_t encode_bytes;           /* claimed scratch a cell of one at once (0: few) */
  size_t turns_bytes;            /* claimed for a cell between them (0: few) */
  int tile_turns, tiles;         /* turns of tiles, and tiles, asked for */
  int tiles_fit;                 /* EXHAUSTED after so many turns of tiles; 0: never */
  int tinies, tiny_decoded;      /* tiny decoders that are open, and what they were asked for */
  int64_t tiny_side;             /* pixels of the last such picture */
  enum status tiny_status;       /* of such a decode, instead of OK */
  bool tiny_overflows;           /* they are not finite */
  size_t tiny_bytes;             /* claimed scratch a cell (0: few) */
  struct pulse *pulse;           /* looked at in each decode */
  uint64_t expected_us;          /* what was to be read there */
} fake = {.predict_bytes_of_row = 64};

static inline int fake_factor(void) { return fake.factor > 0 ? fake.factor : 8; }

/* A prompt as a number; "infinite": infinite latents at the third call; "flat": a flat picture. */
static inline float fake_number(const char *c) {
  float number = 0.1f;
  while (*c != '\0') {
    number = fmodf(number * 1.7f + (float)(unsigned char)*c++ * 0.01f, 1.0f);
  }
  return number;
}

#endif
