/* bands.c - bands of output rows and the input rows that they need. */
#include "kernels/cpu/bands.h"

#include "kernels/tensor.h"

/* Bands are of a multiple of so many rows: blocks of a matrix product, and fewer odd ends. */
enum { CONV_ROWS = 2, MATMUL_ROWS = 64 };

/* A product as a 1x1 convolution has its rows side by side (matmul.c). */
static bool lies(const struct problem *p) { return p->height == 1 && p->kernel_width == 1; }

static int64_t lines_of(const struct problem *p) { return lies(p) ? p->out_width : p->out_height; }

static int64_t band_lines(const struct problem *p, int64_t count) {
  int64_t unit = p->kernel_height == 1 ? MATMUL_ROWS : CONV_ROWS;
  int64_t lines = (lines_of(p) + count - 1) / count;
  return (lines + unit - 1) / unit * unit;
}

int64_t bands_of(const struct problem *p, int64_t work_max) {
  int64_t wanted = (problem_work(p) - 1) / work_max + 1; /* no sum: work_max may be "any" */
  int64_t lines = lines_of(p);
  wanted = wanted > lines ? lines : wanted;
  if (wanted <= 1) {
    return 1;
  }
  int64_t each = band_lines(p, wanted);
  return (lines + each - 1) / each;
}

/* The same for a product that lies: no window, no padding. */
static struct band cut_across(const struct problem *p, int64_t first, int64_t end) {
  struct band band = {.problem = *p};
  band.problem.width = band.problem.out_width = end - first;
  band.x_bytes = first * p->inputs * (int64_t)element_bytes(p->input);
  band.y_bytes = first * p->outputs * (int64_t)element_bytes(p->output);
  return band;
}

struct band band_cut(const struct problem *p, int64_t index, int64_t count) {
  int64_t lines = lines_of(p), each = band_lines(p, count);
  int64_t first = index * each, end = first + each < lines ? first + each : lines;
  if (lies(p)) {
    return cut_across(p, first, end);
  }
  /* The window of the first output begins above, that of the last ends below: rows outside the
   * image are padding, of the image's own where it ends and never where the band ends. */
  int64_t above = first * p->stride - p->pad_top;
  int64_t below = (end - 1) * p->stride - p->pad_top + p->kernel_height;
  int64_t from = above > 0 ? above : 0, to = below < p->height ? below : p->height;
  struct band band = {.problem = *p};
  band.problem.pad_top = (int)(from - above);
  band.problem.pad_bottom = (int)(below - to);
  band.problem.height = to - from;
  band.problem.out_height = end - first;
  band.x_bytes = from * p->width * p->inputs * (int64_t)element_bytes(p->input);
  band.y_bytes = first * p->out_width * p->outputs * (int64_t)element_bytes(p->output);
  return band;
}
