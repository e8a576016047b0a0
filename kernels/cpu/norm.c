/* norm.c - group norm with SiLU in two passes over the picture, layer norm in one; all sums in f32.
 *
 * An image is cut into runs of pixels by its own shape alone. A run gives, per channel, its mean
 * and its sum of squares about the mean; runs and channels are joined in a fixed order (as Chan et
 * al. 1979), so neither threads nor batch mates can touch the bits, and a large mean does not eat
 * the variance.
 */
#include <math.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/cpu.h"

enum { RUN_VALUES = 16384, SERIAL_VALUES = 65536 };

/* Joins a group's channels, all of the same count, and turns the moments into scale and shift. */
static void find_scales(const struct group_norm *g, int64_t image, int64_t channel, int64_t width) {
  const float *gamma = g->norm->gamma.data, *beta = g->norm->beta.data;
  const float *means = g->means + image * g->runs * g->padded,
              *squares = g->squares + image * g->runs * g->padded;
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

enum status cpu_group_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                           bool silu, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  int64_t batch = x->shape[0], channels = x->shape[3];
  struct group_norm g = {.x = x,
                         .y = y,
                         .norm = norm,
                         .silu = silu,
                         .pixels = x->shape[1] * x->shape[2],
                         .channels = channels,
                         .padded = whole_panels(channels)};
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
  cpu_parallel(cpu, cpu->bodies->measure_runs, &g, items, grain);
  cpu->bodies->join_runs(&g, 0, batch * (g.padded / PANEL)); /* too little to wake a thread for */
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t c = 0; c < channels; c += channels / norm->groups) {
      find_scales(&g, b, c, channels / norm->groups);
    }
  }
  cpu_parallel(cpu, cpu->bodies->apply_runs, &g, items, grain);
  return OK;
}

enum status cpu_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                           const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct layer_norm l = {x, y, norm, x->shape[x->rank - 1]};
  cpu_parallel(cpu, cpu->bodies->normalise_rows, &l, tensor_count(x) / l.channels,
               SERIAL_VALUES / l.channels + 1);
  return OK;
}
