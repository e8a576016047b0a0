/* doubling.c - a convolution of a picture of twice the sides as four of the picture itself.
 *
 * Each parity of row and column is a convolution with its own 2x2 kernel; oneDNN writes dense
 * pictures only (with strides it falls back to plain loops), so it writes into a piece of memory
 * that stays in the cache, whose pixels are then put where they belong. Pieces are cut by the
 * picture's shape alone.
 */
#include <string.h>

#include "kernels/cpu/bands.h"
#include "kernels/cpu/calls.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/direct.h"

#define PIECE_BYTES ((int64_t)4 << 20)
enum { GRAIN_VALUES = 65536 };

/* What is copied: a dense piece of `count` pixels to every second pixel of every second row. */
struct spread {
  const char *from;
  char *to; /* the first pixel */
  int64_t width;
  size_t pixel_bytes, row_bytes; /* row: two rows of the doubled picture */
};

static void spread(const void *arguments, int64_t first, int64_t end) {
  const struct spread *s = arguments;
  for (int64_t row = first; row < end; row++) {
    const char *from = s->from + (size_t)(row * s->width) * s->pixel_bytes;
    char *to = s->to + (size_t)row * s->row_bytes;
    for (int64_t j = 0; j < s->width; j++) {
      memcpy(to + (size_t)(2 * j) * s->pixel_bytes, from + (size_t)j * s->pixel_bytes,
             s->pixel_bytes);
    }
  }
}

/* One parity of a number of images. */
struct parity {
  struct problem problem;
  struct cpu_weight *weight;
  const char *x;
  char *y; /* the parity's first pixel */
  int64_t images;
  char *piece;
};

static struct problem problem_of(const struct cpu_weight *weight, const struct tensor *x,
                                 int index) {
  struct problem p = conv_problem(&weight->head, weight->bias != NULL);
  p.pad_top = index / 2 == 0;
  p.pad_bottom = !p.pad_top;
  p.pad_left = index % 2 == 0;
  p.pad_right = !p.pad_left;
  p.height = p.out_height = x->shape[1];
  p.width = p.out_width = x->shape[2];
  return p;
}

static int64_t row_bytes(const struct problem *p) {
  return p->out_width * p->outputs * (int64_t)element_bytes(p->output);
}

static int64_t image_bytes(const struct problem *p) { return p->out_height * row_bytes(p); }

/* Rows [first, first + rows) of the doubled picture's parity, all images' below one another. */
static void put_piece(struct cpu *cpu, const struct parity *parity, char *to, int64_t rows) {
  const struct problem *p = &parity->problem;
  struct spread arguments = {.from = parity->piece,
                             .width = p->out_width,
                             .pixel_bytes = (size_t)p->outputs * element_bytes(p->output),
                             .row_bytes = (size_t)(4 * row_bytes(p))};
  arguments.to = to;
  cpu_parallel(cpu, spread, &arguments, rows, GRAIN_VALUES / (p->out_width * p->outputs) + 1);
}

/* Small images together. In the doubled pictures the rows of one image follow those of another. */
static enum status run_together(struct cpu *cpu, const struct parity *parity) {
  int64_t at_once = PIECE_BYTES / image_bytes(&parity->problem);
  for (int64_t b = 0; b < parity->images; b += at_once) {
    int64_t images = parity->images - b < at_once ? parity->images - b : at_once;
    const struct problem *p = &parity->problem;
    const struct library_run run = {
        p, parity->weight,
        parity->x + b * p->height * p->width * p->inputs * (int64_t)element_bytes(p->input),
        parity->piece};
    TRY(call_library(cpu, &run, images));
    put_piece(cpu, parity, parity->y + b * 4 * image_bytes(p), images * p->out_height);
  }
  return OK;
}

/* A large image band by band. */
static enum status run_apart(struct cpu *cpu, const struct parity *parity, const char *x, char *y) {
  const struct problem *p = &parity->problem;
  int64_t pieces = image_bytes(p) / PIECE_BYTES + 1;
  int64_t work = problem_work(p) / pieces + 1;
  int64_t count = bands_of(p, work);
  for (int64_t i = 0; i < count; i++) {
    const struct band band = band_cut(p, i, count);
    const struct library_run run = {&band.problem, parity->weight, x + band.x_bytes, parity->piece};
    TRY(call_library(cpu, &run, 1));
    put_piece(cpu, parity, y + 4 * band.y_bytes, band.problem.out_height);
  }
  return OK;
}

static enum status run_parity(struct cpu *cpu, const struct parity *parity) {
  const struct problem *p = &parity->problem;
  if (image_bytes(p) <= PIECE_BYTES) {
    return run_together(cpu, parity);
  }
  int64_t x_bytes = p->height * p->width * p->inputs * (int64_t)element_bytes(p->input);
  for (int64_t b = 0; b < parity->images; b++) {
    TRY(run_apart(cpu, parity, parity->x + b * x_bytes, parity->y + b * 4 * image_bytes(p)));
  }
  return OK;
}

/* Our own loop writes every second pixel of every second row itself. */
static enum status double_directly(struct cpu *cpu, const struct cpu_doubling *doubling,
                                   const struct tensor *x, const struct tensor *y) {
  const int64_t pixel = doubling->head.outputs, row = pixel * y->shape[2];
  for (int i = 0; i < 4; i++) {
    struct cpu_weight *weight = (struct cpu_weight *)doubling->parity[i];
    int64_t first = i / 2 * row + i % 2 * pixel;
    struct direct call = {
        .x = x->data,
        .y = (char *)y->data + first * (int64_t)element_bytes(y->element),
        .y_element = y->element,
        .y_pixel = 2 * pixel,
        .y_row = 2 * row,
        .y_image = row * y->shape[1],
        .height = x->shape[1],
        .width = x->shape[2],
        .out_height = x->shape[1],
        .out_width = x->shape[2],
        .stride = 1,
        .pad_top = i / 2 == 0,
        .pad_left = i % 2 == 0,
    };
    TRY(direct_run(cpu, weight, x->shape[0], &call));
  }
  return OK;
}

enum status cpu_upsample_conv(struct device *device, const struct tensor *x, const struct weight *w,
                              const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct cpu_doubling *doubling = (const struct cpu_doubling *)w;
  if (((const struct cpu_weight *)doubling->parity[0])->panels != NULL) {
    return double_directly(cpu, doubling, x, y);
  }
  int64_t row = y->shape[2] * y->shape[3] * (int64_t)element_bytes(y->element);
  /* a band may be a unit of two rows, of half a row of y each, longer than its share */
  char *piece = device_take(device, (size_t)(PIECE_BYTES + 2 * row));
  if (piece == NULL) {
    return EXHAUSTED;
  }
  enum status status = OK;
  for (int i = 0; i < 4 && status == OK; i++) {
    struct cpu_weight *weight = (struct cpu_weight *)doubling->parity[i];
    const struct parity parity = {
        .problem = problem_of(weight, x, i),
        .weight = weight,
        .x = x->data,
        .y =
            (char *)y->data + i / 2 * row + i % 2 * w->outputs * (int64_t)element_bytes(y->element),
        .images = x->shape[0],
        .piece = piece,
    };
    status = run_parity(cpu, &parity);
  }
  device_drop(device, piece, (size_t)(PIECE_BYTES + 2 * row));
  return status;
}
