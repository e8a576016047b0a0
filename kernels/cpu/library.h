/* library.h - oneDNN behind a narrow door: a problem and its memory in, the result out, primitives
 * kept between calls. Which layout a weight has for it, and how a batch is cut, is calls.h.
 */
#ifndef DARKROOM_KERNELS_CPU_LIBRARY_H
#define DARKROOM_KERNELS_CPU_LIBRARY_H

#include <dnnl.h>

#include "kernels/cpu/layout.h"
#include "kernels/cpu/problem.h"

struct cpu;
struct library;

#define WEIGHT_LAYOUTS_MAX 4

/* A weight's values in one memory layout. */
struct packed {
  layout layout;
  dnnl_memory_t memory; /* NULL: an empty place */
  void *data;
  size_t bytes;
  bool used;
};
/* A problem that the weight has met, and its layout for it. */
struct suited {
  struct problem problem;
  struct packed *packed; /* NULL: an empty place */
};
#define SUITED_MAX 8
struct cpu_weight {
  struct weight head;
  struct packed packed[WEIGHT_LAYOUTS_MAX];
  struct suited suited[SUITED_MAX];
  int next_suited;
  float *bias;   /* NULL for none */
  float *panels; /* of a weight for our own loop (direct.h), which has no layouts; NULL: oneDNN's */
  size_t panels_bytes;
};

/* A weight of op_upsample_conv: a 2x2 kernel for each parity, 2 * row + column. */
struct cpu_doubling {
  struct weight head;
  struct weight *parity[4];
};

enum status onednn_open(struct library **out);
void onednn_close(struct library **library);
dnnl_engine_t library_engine(const struct library *library);

/* What one call may be, in multiplications and additions, except that it has one line of an image
 * at least; BAND_WORK_MAX at birth. Changed by tests. */
void library_cut_at(struct library *library, int64_t work_max);
int64_t library_work_max(const struct library *library);

struct library_run {
  const struct problem *problem;
  struct cpu_weight *weight;
  const void *x;
  void *y;
};
/* The run from a row on. */
static inline struct library_run library_from_row(const struct library_run *run, int64_t row) {
  struct library_run rest = *run;
  rest.x = (const char *)run->x + row * problem_input_bytes(run->problem);
  rest.y = (char *)run->y + row * problem_output_bytes(run->problem);
  return rest;
}

/* y[b] = problem(x[b]) for b in [0, batch), with the weight in one of its layouts. The same bits
 * for a row whatever the batch: rows are given to oneDNN together only where a trial has shown that
 * it makes no difference, else one by one. */
enum status library_call(struct cpu *cpu, const struct library_run *run, int64_t batch,
                         const struct packed *packed);

#endif
