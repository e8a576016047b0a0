/* norm.c - the passes of group norm and layer norm. Part of every level_*.c. */
#include <math.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/functions.h"

/* ---- first pass: item = image * runs + run ---- */

/* A run of pixels, and the channels of it that fit a vector. */
struct run {
  int64_t item, start, count;
};

enum { TOGETHER = 4 }; /* vectors of channels, so that their sums need not wait for one another */

INLINE void measure_channels(const struct group_norm *g, enum element e, struct run run, int64_t c,
                             int64_t some, const int vectors) {
  const void *x = g->x->data;
  vec about[TOGETHER], sum[TOGETHER], squares[TOGETHER];
  for (int v = 0; v < vectors; v++) { /* the first pixel: near enough to the mean */
    about[v] = load_some(x, e, run.start + c + v * LANES, some);
    sum[v] = squares[v] = all(0);
  }
  for (int64_t p = 1; p < run.count; p++) {
    UNROLL for (int v = 0; v < vectors; v++) {
      vec off = load_some(x, e, run.start + p * g->channels + c + v * LANES, some) - about[v];
      sum[v] += off;
      squares[v] = fused(off, off, squares[v]);
    }
  }
  for (int v = 0; v < vectors; v++) {
    vec mean = sum[v] / (float)run.count;
    int64_t to = run.item * g->padded + c + v * LANES;
    store_f32(g->means + to, about[v] + mean);
    store_f32(g->squares + to, at_least(squares[v] - sum[v] * mean, all(0)));
  }
}

INLINE struct run run_of(const struct group_norm *g, int64_t item) {
  int64_t first = item % g->runs * g->run_pixels, rest = g->pixels - first;
  return (struct run){item, (item / g->runs * g->pixels + first) * g->channels,
                      rest < g->run_pixels ? rest : g->run_pixels};
}

INLINE void measure_run(const struct group_norm *g, enum element e, int64_t item) {
  struct run run = run_of(g, item);
  int64_t whole = whole_vectors(g->channels), c = 0;
  for (; c + TOGETHER * LANES <= whole; c += TOGETHER * LANES) {
    measure_channels(g, e, run, c, LANES, TOGETHER);
  }
  for (; c < whole; c += LANES) {
    measure_channels(g, e, run, c, LANES, 1);
  }
  if (whole < g->channels) {
    measure_channels(g, e, run, whole, g->channels - whole, 1);
  }
}

static void measure_runs(const void *arguments, int64_t first, int64_t end) {
  const struct group_norm *g = arguments;
  for (int64_t item = first; item < end; item++) {
    if (g->x->element == ELEMENT_BF16) {
      measure_run(g, ELEMENT_BF16, item);
    } else {
      measure_run(g, ELEMENT_F32, item);
    }
  }
}

/* ---- between the passes ---- */

static float run_count(const struct group_norm *g, int64_t run) {
  int64_t rest = g->pixels - run * g->run_pixels;
  return (float)(rest < g->run_pixels ? rest : g->run_pixels);
}

/* Channels from `start` on, in the place of the image's first run. */
INLINE void join_channels(const struct group_norm *g, int64_t start) {
  vec sum = all(0), squares = all(0);
  for (int64_t r = 0; r < g->runs; r++) {
    sum += load_f32(g->means + start + r * g->padded) * run_count(g, r);
  }
  vec mean = sum / (float)g->pixels;
  for (int64_t r = 0; r < g->runs; r++) {
    vec off = load_f32(g->means + start + r * g->padded) - mean;
    squares += load_f32(g->squares + start + r * g->padded) + off * off * run_count(g, r);
  }
  store_f32(g->means + start, mean);
  store_f32(g->squares + start, squares);
}

/* Joins an image's runs, per channel. */
static void join_runs(const void *arguments, int64_t first, int64_t end) {
  const struct group_norm *g = arguments;
  int64_t panels = g->padded / PANEL;
  for (int64_t item = first; item < end; item++) {
    int64_t start = item / panels * g->runs * g->padded + item % panels * PANEL;
    for (int64_t c = 0; c < PANEL; c += LANES) {
      join_channels(g, start + c);
    }
  }
}

/* ---- second pass: items as in the first ---- */

struct affine {
  const float *scales, *shifts;
};

INLINE void apply_channels(const struct group_norm *g, enum element e, int64_t start,
                           struct affine by, int64_t some) {
  vec value =
      fused(load_some(g->x->data, e, start, some), load_f32(by.scales), load_f32(by.shifts));
  store_some(g->y->data, e, start, value, some);
}

INLINE void apply_channels_silu(const struct group_norm *g, enum element e, int64_t start,
                                struct affine by, int64_t some) {
  vec value =
      fused(load_some(g->x->data, e, start, some), load_f32(by.scales), load_f32(by.shifts));
  store_some(g->y->data, e, start, swish_of(value, 1), some);
}

INLINE void apply_pixel(const struct group_norm *g, enum element e, bool silu, int64_t start,
                        struct affine by) {
  int64_t whole = whole_vectors(g->channels), rest = g->channels - whole;
  for (int64_t c = 0; c < whole; c += LANES) {
    struct affine at = {by.scales + c, by.shifts + c};
    if (silu) {
      apply_channels_silu(g, e, start + c, at, LANES);
    } else {
      apply_channels(g, e, start + c, at, LANES);
    }
  }
  struct affine at = {by.scales + whole, by.shifts + whole};
  if (rest > 0 && silu) {
    apply_channels_silu(g, e, start + whole, at, rest);
  } else if (rest > 0) {
    apply_channels(g, e, start + whole, at, rest);
  }
}

INLINE void apply_run(const struct group_norm *g, enum element e, bool silu, int64_t item) {
  struct run run = run_of(g, item);
  int64_t image = item / g->runs * g->padded;
  const struct affine by = {g->scales + image, g->shifts + image};
  for (int64_t p = 0; p < run.count; p++) {
    apply_pixel(g, e, silu, run.start + p * g->channels, by);
  }
}

static void apply_runs(const void *arguments, int64_t first, int64_t end) {
  const struct group_norm *g = arguments;
  for (int64_t item = first; item < end; item++) {
    if (g->x->element == ELEMENT_BF16 && g->silu) {
      apply_run(g, ELEMENT_BF16, true, item);
    } else if (g->x->element == ELEMENT_BF16) {
      apply_run(g, ELEMENT_BF16, false, item);
    } else if (g->silu) {
      apply_run(g, ELEMENT_F32, true, item);
    } else {
      apply_run(g, ELEMENT_F32, false, item);
    }
  }
}

/* ---- layer norm: item = row ---- */

struct moments {
  float mean, scale; /* scale = 1 / sqrt(variance + epsilon) */
};

/* The first count lanes, the others zero. */
INLINE vec keep(vec value, int64_t count) {
  float lane[LANES] = {0};
  memcpy(lane, &value, (size_t)count * sizeof *lane);
  return load_f32(lane);
}

INLINE vec squares_of(vec off) { return off * off; }

INLINE void normalise_some(const struct layer_norm *l, enum element e, int64_t start, int64_t c,
                           struct moments m, int64_t some) {
  vec unit = (load_some(l->x->data, e, start + c, some) - m.mean) * m.scale;
  vec gamma = load_some(l->norm->gamma.data, ELEMENT_F32, c, some);
  vec beta = load_some(l->norm->beta.data, ELEMENT_F32, c, some);
  store_some(l->y->data, e, start + c, fused(unit, gamma, beta), some);
}

/* Mean first, then the squares about it: the row is in the nearest cache by then. */
INLINE struct moments row_moments(const struct layer_norm *l, enum element e, int64_t start) {
  int64_t channels = l->channels, whole = whole_vectors(channels), rest = channels - whole;
  const void *x = l->x->data;
  vec sum = all(0), squares = all(0);
  for (int64_t c = 0; c < whole; c += LANES) {
    sum += load_some(x, e, start + c, LANES);
  }
  if (rest > 0) {
    sum += load_some(x, e, start + whole, rest);
  }
  float mean = sum_of(sum) / (float)channels;
  for (int64_t c = 0; c < whole; c += LANES) {
    squares += squares_of(load_some(x, e, start + c, LANES) - mean);
  }
  if (rest > 0) {
    squares += squares_of(keep(load_some(x, e, start + whole, rest) - mean, rest));
  }
  return (struct moments){mean, 1 / sqrtf(sum_of(squares) / (float)channels + l->norm->epsilon)};
}

INLINE void normalise_row(const struct layer_norm *l, enum element e, int64_t start) {
  int64_t whole = whole_vectors(l->channels);
  struct moments moments = row_moments(l, e, start);
  for (int64_t c = 0; c < whole; c += LANES) {
    normalise_some(l, e, start, c, moments, LANES);
  }
  if (whole < l->channels) {
    normalise_some(l, e, start, whole, moments, l->channels - whole);
  }
}

static void normalise_rows(const void *arguments, int64_t first, int64_t end) {
  const struct layer_norm *l = arguments;
  for (int64_t m = first; m < end; m++) {
    if (l->x->element == ELEMENT_BF16) {
      normalise_row(l, ELEMENT_BF16, m * l->channels);
    } else {
      normalise_row(l, ELEMENT_F32, m * l->channels);
    }
  }
}
