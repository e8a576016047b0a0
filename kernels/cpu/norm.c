/* norm.c - group norm with SiLU in two passes over the picture, layer norm in one; all sums in f32.
 *
 * An image is cut into runs of pixels by its own shape alone. A run gives, per channel, its mean and its sum of squares
 * about the mean; runs and channels are joined in a fixed order (as Chan et al. 1979), so neither threads nor batch mates can
 * touch the bits, and a large mean does not eat the variance.
 */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum { RUN_VALUES = 16384, SERIAL_VALUES = 32768 };

struct group_norm {
  const struct tensor *x, *y;
  const struct norm *norm;
  bool silu;
  int64_t pixels, channels, padded; /* padded: channels rounded up to whole vectors */
  int64_t run_pixels, runs;         /* per image */
  float *means, *squares;           /* [B, runs, padded] */
  float *scales, *shifts;           /* [B, padded]: y = x * scale + shift */
};

/* ---- first pass: item = image * runs + run ---- */

/* A run of pixels, and the channels of it that fit a vector. */
struct run {
  int64_t item, start, count;
};

INLINE void measure_channels(const struct group_norm *g, enum element e, struct run run, int64_t c, int64_t some) {
  int64_t step = g->channels;
  const void *x = g->x->data;
  v16 about = load_some(x, e, run.start + c, some); /* the first pixel: near enough to the mean */
  v16 sum = all(0), squares = all(0);
  for (int64_t p = 1; p < run.count; p++) {
    v16 off = load_some(x, e, run.start + p * step + c, some) - about;
    sum += off;
    squares += off * off;
  }
  v16 mean = sum / (float)run.count;
  store_f32(g->means + run.item * g->padded + c, about + mean);
  store_f32(g->squares + run.item * g->padded + c, at_least(squares - sum * mean, all(0)));
}

INLINE struct run run_of(const struct group_norm *g, int64_t item) {
  int64_t first = item % g->runs * g->run_pixels, rest = g->pixels - first;
  return (struct run){item, (item / g->runs * g->pixels + first) * g->channels,
                      rest < g->run_pixels ? rest : g->run_pixels};
}

INLINE void measure_run(const struct group_norm *g, enum element e, int64_t item) {
  struct run run = run_of(g, item);
  int64_t whole = whole_vectors(g->channels);
  for (int64_t c = 0; c < whole; c += LANES) {
    measure_channels(g, e, run, c, LANES);
  }
  if (whole < g->channels) {
    measure_channels(g, e, run, whole, g->channels - whole);
  }
}

INLINE void measure_runs(const void *arguments, int64_t first, int64_t end) {
  const struct group_norm *g = arguments;
  for (int64_t item = first; item < end; item++) {
    if (g->x->element == ELEMENT_BF16) {
      measure_run(g, ELEMENT_BF16, item);
    } else {
      measure_run(g, ELEMENT_F32, item);
    }
  }
}
KERNEL(measure_runs)

/* ---- between the passes ---- */

static float run_count(const struct group_norm *g, int64_t run) {
  int64_t rest = g->pixels - run * g->run_pixels;
  return (float)(rest < g->run_pixels ? rest : g->run_pixels);
}

/* Joins an image's runs per channel, into the place of its first run. Item = image * vectors + vector of channels. */
INLINE void join_runs(const void *arguments, int64_t first, int64_t end) {
  const struct group_norm *g = arguments;
  int64_t vectors = g->padded / LANES;
  for (int64_t item = first; item < end; item++) {
    int64_t start = item / vectors * g->runs * g->padded + item % vectors * LANES;
    v16 sum = all(0), squares = all(0);
    for (int64_t r = 0; r < g->runs; r++) {
      sum += load_f32(g->means + start + r * g->padded) * run_count(g, r);
    }
    v16 mean = sum / (float)g->pixels;
    for (int64_t r = 0; r < g->runs; r++) {
      v16 off = load_f32(g->means + start + r * g->padded) - mean;
      squares += load_f32(g->squares + start + r * g->padded) + off * off * run_count(g, r);
    }
    store_f32(g->means + start, mean);
    store_f32(g->squares + start, squares);
  }
}
KERNEL(join_runs)

/* Joins a group's channels, all of the same count, and turns the moments into scale and shift. */
static void find_scales(const struct group_norm *g, int64_t image, int64_t channel, int64_t width) {
  const float *gamma = g->norm->gamma.data, *beta = g->norm->beta.data;
  const float *means = g->means + image * g->runs * g->padded, *squares = g->squares + image * g->runs * g->padded;
  float mean = 0, variance = 0;
  for (int64_t c = channel; c < channel + width; c++) {
    mean += means[c] / (float)width;
  }
  for (int64_t c = channel; c < channel + width; c++) {
    float off = means[c] - mean;
    variance += (squares[c] / (float)g->pixels + off * off) / (float)width;
  }
  float scale = 1 / sqrtf(variance + g->norm->epsilon);
  for (int64_t c = channel; c < channel + width; c++) {
    g->scales[image * g->padded + c] = gamma[c] * scale;
    g->shifts[image * g->padded + c] = beta[c] - mean * scale * gamma[c];
  }
}

/* ---- second pass: items as in the first ---- */

struct affine {
  const float *scales, *shifts;
};

INLINE void apply_channels(const struct group_norm *g, enum element e, int64_t start, struct affine by, int64_t some) {
  v16 value = fused(load_some(g->x->data, e, start, some), load_f32(by.scales), load_f32(by.shifts));
  store_some(g->y->data, e, start, value, some);
}

INLINE void apply_channels_silu(const struct group_norm *g, enum element e, int64_t start, struct affine by,
                                int64_t some) {
  v16 value = fused(load_some(g->x->data, e, start, some), load_f32(by.scales), load_f32(by.shifts));
  store_some(g->y->data, e, start, value * sigmoid_of(value), some);
}

INLINE void apply_pixel(const struct group_norm *g, enum element e, bool silu, int64_t start, struct affine by) {
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

INLINE void apply_runs(const void *arguments, int64_t first, int64_t end) {
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
KERNEL(apply_runs)

enum status cpu_group_norm(struct device *device, const struct tensor *x, const struct norm *norm, bool silu,
                           const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  int64_t batch = x->shape[0], channels = x->shape[3];
  struct group_norm g = {.x = x, .y = y, .norm = norm, .silu = silu, .pixels = x->shape[1] * x->shape[2],
                         .channels = channels, .padded = (channels + LANES - 1) / LANES * LANES};
  g.run_pixels = RUN_VALUES / g.padded + 1;
  g.runs = (g.pixels + g.run_pixels - 1) / g.run_pixels;
  int64_t items = batch * g.runs;
  g.means = cpu_scratch(cpu, (size_t)((2 * items + 2 * batch) * g.padded) * sizeof(float));
  if (g.means == NULL) {
    return EXHAUSTED;
  }
  g.squares = g.means + items * g.padded;
  g.scales = g.squares + items * g.padded;
  g.shifts = g.scales + batch * g.padded;
  int64_t grain = SERIAL_VALUES / (g.run_pixels * channels) + 1;
  cpu_parallel(cpu, &measure_runs_kernel, &g, items, grain);
  cpu_parallel(cpu, &join_runs_kernel, &g, batch * (g.padded / LANES), 2048 / g.runs + 1);
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t c = 0; c < channels; c += channels / norm->groups) {
      find_scales(&g, b, c, channels / norm->groups);
    }
  }
  cpu_parallel(cpu, &apply_runs_kernel, &g, items, grain);
  return OK;
}

/* ---- layer norm: item = row ---- */

struct layer_norm {
  const struct tensor *x, *y;
  const struct norm *norm;
  int64_t channels;
};

struct moments {
  float mean, scale; /* scale = 1 / sqrt(variance + epsilon) */
};

/* The first count lanes, the others zero. */
INLINE v16 keep(v16 value, int64_t count) {
  float lane[LANES] = {0};
  memcpy(lane, &value, (size_t)count * sizeof *lane);
  return load_f32(lane);
}

INLINE v16 squares_of(v16 off) { return off * off; }

INLINE void normalise_some(const struct layer_norm *l, enum element e, int64_t start, int64_t c, struct moments m,
                           int64_t some) {
  v16 unit = (load_some(l->x->data, e, start + c, some) - m.mean) * m.scale;
  v16 gamma = load_some(l->norm->gamma.data, ELEMENT_F32, c, some);
  v16 beta = load_some(l->norm->beta.data, ELEMENT_F32, c, some);
  store_some(l->y->data, e, start + c, fused(unit, gamma, beta), some);
}

/* Mean first, then the squares about it: the row is in the nearest cache by then. */
INLINE struct moments row_moments(const struct layer_norm *l, enum element e, int64_t start) {
  int64_t channels = l->channels, whole = whole_vectors(channels), rest = channels - whole;
  const void *x = l->x->data;
  v16 sum = all(0), squares = all(0);
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

INLINE void normalise_rows(const void *arguments, int64_t first, int64_t end) {
  const struct layer_norm *l = arguments;
  for (int64_t m = first; m < end; m++) {
    if (l->x->element == ELEMENT_BF16) {
      normalise_row(l, ELEMENT_BF16, m * l->channels);
    } else {
      normalise_row(l, ELEMENT_F32, m * l->channels);
    }
  }
}
KERNEL(normalise_rows)

enum status cpu_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                           const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct layer_norm l = {x, y, norm, x->shape[x->rank - 1]};
  cpu_parallel(cpu, &normalise_rows_kernel, &l, tensor_count(x) / l.channels, SERIAL_VALUES / l.channels + 1);
  return OK;
}
