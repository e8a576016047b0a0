/* direct.c - products and convolutions of bf16 by our own loop. Part of every level_*.c.
 *
 * Outputs lie across the lanes, pixels are broadcast: a tile of sums is TALL pixels times a panel
 * of BROAD vectors of outputs, which stay in registers while depth runs by. Pixels are read where
 * they lie: what a tap of the kernel sees of one is a pointer, to a line of zeros outside of the
 * image. So a convolution is a product whose depth is taps times inputs, and neither is copied.
 *
 * A block of pixels walks over a panel's depth piece by piece, each small enough to stay in the
 * cache while all tiles of the block meet it; between pieces sums wait in memory as f32. Each sum
 * runs over depth in order, so that neither blocks nor pieces nor threads can touch the bits.
 */
#include "base/progress.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/convert.h"
#include "kernels/cpu/bodies/functions.h"
#include "kernels/cpu/bodies/packing.h"
#include "kernels/cpu/panels.h"

enum { TALL = LANES == 16 ? 6 : 1, BROAD = DIRECT_OUTPUTS / LANES }; /* only AVX-512 is fast */
/* Units of depth in a piece: 192 KB of weights. */
enum { PIECE_UNITS = 768 };

/* ---- a kernel into panels ---- */

/* Values of an output that are turned at once. */
enum { TURNED = 2048 };
_Static_assert(TURNED >= 2 * DIRECT_TAPS_MAX, "two inputs at once at least");

/* Inputs [from, from + count) of LANES outputs, as bf16, a tap's side by side. */
struct turned {
  uint16_t values[LANES * TURNED];
};

static void narrow_some(const struct direct_source *s, int64_t at, int64_t count, uint16_t *to) {
  const char *from = (const char *)s->values + at * (int64_t)element_bytes(s->element);
  const struct convert convert_to_bf16 = {s->element, ELEMENT_BF16, from, to};
  if (s->element == ELEMENT_BF16) {
    memcpy(to, from, (size_t)count * sizeof *to);
  } else {
    convert(&convert_to_bf16, 0, count);
  }
}

static void turn(const struct direct_source *s, int64_t output, int64_t from, int64_t count,
                 struct turned *out) {
  uint16_t some[TURNED];
  for (int64_t o = 0; o < LANES; o++) {
    uint16_t *line = out->values + o * count * s->taps;
    int64_t at = ((output + o) * s->inputs + from) * s->taps;
    if (s->taps == 1) {
      narrow_some(s, at, count, line);
      continue;
    }
    narrow_some(s, at, count * s->taps, some);
    for (int64_t tap = 0; tap < s->taps; tap++) {
      for (int64_t c = 0; c < count; c++) {
        line[tap * count + c] = some[c * s->taps + tap];
      }
    }
  }
}

/* LANES outputs of a panel from `output` on, which begin at lane `lane` of its lines. */
static void pack_outputs(const struct direct_source *s, int64_t output, int64_t lane,
                         float *panel) {
  struct turned turned;
  int64_t at_once = TURNED / s->taps / 2 * 2;
  for (int64_t from = 0; from < s->inputs; from += at_once) {
    int64_t count = s->inputs - from < at_once ? s->inputs - from : at_once;
    turn(s, output, from, count, &turned);
    for (int64_t tap = 0; tap < s->taps; tap++) {
      const struct strip strip = {.from = (const char *)(turned.values + tap * count),
                                  .step = count * s->taps * 2,
                                  .rows = LANES,
                                  .bytes = count * 2};
      transpose_strip(&strip, panel + (tap * s->inputs + from) / 2 * DIRECT_OUTPUTS + lane,
                      DIRECT_OUTPUTS);
    }
  }
}

static void pack_direct(const void *arguments, int64_t first, int64_t end) {
  const struct direct_source *s = arguments;
  for (int64_t panel = first; panel < end; panel++) {
    float *to = s->packed + panel * s->inputs / 2 * s->taps * DIRECT_OUTPUTS;
    for (int64_t lane = 0; lane < DIRECT_OUTPUTS; lane += LANES) {
      pack_outputs(s, panel * DIRECT_OUTPUTS + lane, lane, to);
    }
    progress_count();
  }
}

/* ---- blocks of pixels ---- */

/* An output pixel: what its window's corner is and where it lies in y. */
struct spot {
  const char *corner; /* may lie outside of the image, where it is not read */
  int64_t i, j;
  int64_t y, row; /* row: of the batch */
};

static void find_spots(const struct direct *d, int64_t pixel, int64_t count, struct spot *out) {
  int64_t b = pixel / (d->out_height * d->out_width);
  int64_t i = pixel / d->out_width % d->out_height, j = pixel % d->out_width;
  for (int64_t k = 0; k < count; k++) {
    int64_t top = i * d->stride - d->pad_top, left = j * d->stride - d->pad_left;
    out[k] =
        (struct spot){.corner = d->x + ((b * d->height + top) * d->width + left) * d->inputs * 2,
                      .i = top,
                      .j = left,
                      .y = b * d->y_image + i * d->y_row + j * d->y_pixel,
                      .row = b};
    j = j + 1 < d->out_width ? j + 1 : 0;
    i = j > 0 ? i : i + 1 < d->out_height ? i + 1 : 0;
    b += i == 0 && j == 0;
  }
}

/* Some spots that are one tile: TALL at most; those beyond `count` repeat the last and are not
 * stored. */
struct tall {
  const struct spot *spots;
  int64_t count;
};

/* What a tap of the kernel sees of a tile's pixels. */
INLINE void find_pixels(const struct direct *d, const struct tall *tall, int64_t tap,
                        const float *pixels[TALL]) {
  uint64_t down = (uint64_t)(tap / d->kernel_width), right = (uint64_t)(tap % d->kernel_width);
  int64_t offset = (int64_t)(down * (uint64_t)d->width + right) * d->inputs * 2;
  UNROLL for (int r = 0; r < TALL; r++) {
    const struct spot *spot = &tall->spots[r < tall->count ? r : tall->count - 1];
    bool inside = (uint64_t)spot->i + down < (uint64_t)d->height &&
                  (uint64_t)spot->j + right < (uint64_t)d->width;
    pixels[r] = inside ? (const float *)(const void *)(spot->corner + offset) : d->zeros;
  }
}

INLINE void multiply_pixels(const float *const pixels[TALL], int64_t from, int64_t to,
                            const float *lines, vec sums[TALL][BROAD]) {
  for (int64_t u = from; u < to; u++) {
    vec line[BROAD];
    UNROLL for (int v = 0; v < BROAD; v++) { line[v] = load_f32(lines + v * LANES); }
    UNROLL for (int r = 0; r < TALL; r++) {
      vec value = all_of(pixels[r] + u);
      UNROLL for (int v = 0; v < BROAD; v++) {
        sums[r][v] = fused_pairs(value, line[v], sums[r][v]);
      }
    }
    lines += DIRECT_OUTPUTS;
  }
}

/* A piece of a panel's depth: units [from, to) of taps [tap, end). */
struct piece {
  int64_t tap, end, from, to;
  const float *lines;
  int64_t output; /* the panel's first */
  bool first, last;
};

/* A tile's place in y, which what is added often shares, comes while the tile is computed. */
INLINE void send_for(const struct direct *d, const struct tall *tall, const struct piece *piece) {
  int64_t size = d->y_element == ELEMENT_BF16 ? 2 : 4;
  for (int64_t r = 0; piece->last && r < tall->count; r++) {
    char *to = d->y + (tall->spots[r].y + piece->output) * size;
    for (int64_t line = 0; line < DIRECT_OUTPUTS * size; line += 64) {
      __builtin_prefetch(to + line, 1);
    }
  }
}

/* Sums of a pixel to its place, with all that is added to them. */
INLINE void finish_pixel(const struct direct *d, const struct spot *spot, int64_t output,
                         const vec sums[BROAD]) {
  int64_t at = spot->y + output, channel = spot->row * d->outputs + output;
  vec values[BROAD];
  UNROLL for (int v = 0; v < BROAD; v++) {
    values[v] = d->bias != NULL ? sums[v] + load_f32(d->bias + output + v * LANES) : sums[v];
  }
  if (d->channels != NULL) {
    UNROLL for (int v = 0; v < BROAD; v++) {
      values[v] += load_all(d->channels->data, d->channels->element, channel + v * LANES);
    }
  }
  if (d->residual != NULL) {
    UNROLL for (int v = 0; v < BROAD; v++) {
      values[v] += load_all(d->residual, d->y_element, at + v * LANES);
    }
  }
  UNROLL for (int v = 0; v < BROAD; v++) {
    store_all(d->y, d->y_element, at + v * LANES, values[v]);
  }
}

/* The same from memory, with an activation, which is seldom. */
static void activate_pixel(const struct direct *d, const struct spot *spot, int64_t output,
                           const float *sums) {
  for (int64_t v = 0; v < DIRECT_OUTPUTS; v += LANES, output += LANES) {
    int64_t at = spot->y + output, channel = spot->row * d->outputs + output;
    vec value = load_f32(sums + v);
    value = d->bias != NULL ? value + load_f32(d->bias + output) : value;
    value = d->activates_last ? value : activation_of(value, d->activation);
    if (d->channels != NULL) {
      value += load_all(d->channels->data, d->channels->element, channel);
    }
    if (d->residual != NULL) {
      value += load_all(d->residual, d->y_element, at);
    }
    value = d->activates_last ? activation_of(value, d->activation) : value;
    store_all(d->y, d->y_element, at, value);
  }
}

INLINE void run_tile(const struct direct *d, const struct tall *tall, const struct piece *piece,
                     float *sums) {
  vec tile[TALL][BROAD];
  send_for(d, tall, piece);
  UNROLL for (int r = 0; r < TALL; r++) {
    UNROLL for (int v = 0; v < BROAD; v++) {
      tile[r][v] = piece->first ? all(0) : load_f32(sums + (r * BROAD + v) * LANES);
    }
  }
  const float *lines = piece->lines;
  for (int64_t tap = piece->tap; tap < piece->end; tap++) {
    const float *pixels[TALL];
    find_pixels(d, tall, tap, pixels);
    multiply_pixels(pixels, piece->from, piece->to, lines, tile);
    lines += (piece->to - piece->from) * DIRECT_OUTPUTS;
  }
  bool finishes = piece->last && d->activation == ACTIVATION_NONE;
  UNROLL for (int r = 0; r < TALL; r++) {
    if (!finishes) {
      UNROLL for (int v = 0; v < BROAD; v++) {
        store_f32(sums + (r * BROAD + v) * LANES, tile[r][v]);
      }
    } else if (r < tall->count) {
      finish_pixel(d, &tall->spots[r], piece->output, tile[r]);
    }
  }
}

static void run_piece(const struct direct *d, const struct spot *spots, int64_t count,
                      const struct piece *piece, float *sums) {
  for (int64_t at = 0; at < count; at += TALL) {
    const struct tall tall = {spots + at, count - at < TALL ? count - at : TALL};
    run_tile(d, &tall, piece, sums + at * DIRECT_OUTPUTS);
  }
  for (int64_t at = 0; piece->last && d->activation != ACTIVATION_NONE && at < count; at++) {
    activate_pixel(d, &spots[at], piece->output, sums + at * DIRECT_OUTPUTS);
  }
}

/* A block of spots times a panel. */
static void run_block(const struct direct *d, const struct spot *spots, int64_t count,
                      int64_t panel, float *sums) {
  int64_t units = d->inputs / 2, taps = d->kernel_height * d->kernel_width;
  int64_t parts = (units + PIECE_UNITS - 1) / PIECE_UNITS;
  int64_t taps_at_once = parts > 1 ? 1 : PIECE_UNITS / units;
  const float *lines = d->packed + panel * units * taps * DIRECT_OUTPUTS;
  for (int64_t tap = 0; tap < taps; tap += taps_at_once) {
    for (int64_t part = 0; part < parts; part++) {
      struct piece piece = {.tap = tap,
                            .end = tap + taps_at_once < taps ? tap + taps_at_once : taps,
                            .from = units * part / parts,
                            .to = units * (part + 1) / parts,
                            .output = panel * DIRECT_OUTPUTS,
                            .first = tap == 0 && part == 0};
      piece.last = piece.end == taps && part == parts - 1;
      piece.lines = lines + (tap * units + piece.from) * DIRECT_OUTPUTS;
      run_piece(d, spots, count, &piece, sums);
    }
  }
}

static void direct(const void *arguments, int64_t first, int64_t end) {
  const struct direct *d = arguments;
  struct spot spots[DIRECT_PIXELS];
  float sums[DIRECT_PIXELS * DIRECT_OUTPUTS] __attribute__((aligned(64)));
  int64_t known = -1, count = 0;
  for (int64_t item = first; item < end; item++) {
    int64_t block = d->panels_first ? item % d->blocks : item / d->panels;
    int64_t panel = d->panels_first ? item / d->blocks : item % d->panels;
    if (block != known) {
      int64_t pixel = block * DIRECT_PIXELS;
      count = d->pixels - pixel < DIRECT_PIXELS ? d->pixels - pixel : DIRECT_PIXELS;
      find_spots(d, pixel, count, spots);
      known = block;
    }
    run_block(d, spots, count, panel, sums);
    progress_count();
  }
}
