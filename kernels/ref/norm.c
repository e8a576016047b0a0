/* norm.c - group and layer norm, two plain passes; sums in double, for the judge must be better
 * than the judged. */
#include <math.h>

#include "kernels/ref/ref.h"

/* A group: `rows` runs of `width` values, `step` apart. */
struct group {
  const float *x;
  int64_t rows, width, step;
};

static double group_mean(const struct group *g) {
  double sum = 0;
  for (int64_t r = 0; r < g->rows; r++) {
    for (int64_t c = 0; c < g->width; c++) {
      sum += g->x[r * g->step + c];
    }
  }
  return sum / (double)(g->rows * g->width);
}

static double group_variance(const struct group *g, double mean) {
  double sum = 0;
  for (int64_t r = 0; r < g->rows; r++) {
    for (int64_t c = 0; c < g->width; c++) {
      double off = g->x[r * g->step + c] - mean;
      sum += off * off;
    }
  }
  return sum / (double)(g->rows * g->width);
}

/* first: the group's first channel, for gamma and beta. y may be x. */
static void normalise(const struct group *g, const struct norm *norm, int64_t first, bool silu,
                      float *y) {
  double mean = group_mean(g);
  double scale = 1 / sqrt(group_variance(g, mean) + norm->epsilon);
  for (int64_t r = 0; r < g->rows; r++) {
    for (int64_t c = 0; c < g->width; c++) {
      double unit = (g->x[r * g->step + c] - mean) * scale;
      float value =
          (float)(unit * values(&norm->gamma)[first + c] + values(&norm->beta)[first + c]);
      y[r * g->step + c] = silu ? ref_activation(value, ACTIVATION_SILU) : value;
    }
  }
}

enum status ref_group_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                           bool silu, const struct tensor *y) {
  (void)device;
  int64_t pixels = x->shape[1] * x->shape[2], channels = x->shape[3],
          width = channels / norm->groups;
  for (int64_t b = 0; b < x->shape[0]; b++) {
    for (int64_t first = 0; first < channels; first += width) {
      int64_t start = b * pixels * channels + first;
      const struct group group = {values(x) + start, pixels, width, channels};
      normalise(&group, norm, first, silu, values(y) + start);
    }
  }
  return OK;
}

enum status ref_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                           const struct tensor *y) {
  (void)device;
  int64_t channels = x->shape[x->rank - 1], rows = tensor_count(x) / channels;
  for (int64_t m = 0; m < rows; m++) {
    const struct group group = {values(x) + m * channels, 1, channels, channels};
    normalise(&group, norm, 0, false, values(y) + m * channels);
  }
  return OK;
}
