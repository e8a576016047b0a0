/* library.h - oneDNN behind a narrow door: a problem and its memory in, the result out, primitives
 * kept between calls.
 *
 * A problem says everything that a primitive depends on, except the batch. The batch is ours to
 * cut: see library_run.
 */
#ifndef DARKROOM_KERNELS_CPU_LIBRARY_H
#define DARKROOM_KERNELS_CPU_LIBRARY_H

#include <dnnl.h>

#include "kernels/backend.h"

struct cpu;
struct library;

enum problem_kind { PROBLEM_CONV, PROBLEM_MATMUL };

/* Compared byte by byte, so it must start from zeroed memory. A matrix product has `height` rows
 * (width and kernel 1). */
struct problem {
  enum problem_kind kind;
  enum element input, output;
  enum activation activation;
  int has_bias;
  int adds; /* the result is added to what y holds */
  int stride;
  int pad_top, pad_bottom, pad_left, pad_right;
  int activates_last;            /* behind what y holds, not before */
  int64_t height, width, inputs; /* of one batch row */
  int64_t out_height, out_width, outputs;
  int64_t kernel_height, kernel_width;
};
_Static_assert(sizeof(struct problem) == 12 * sizeof(int) + 8 * sizeof(int64_t), "no holes");

#define WEIGHT_LAYOUTS_MAX 4

/* A weight's values in one memory layout. */
struct packed {
  dnnl_memory_desc_t layout;
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
  float *bias; /* NULL for none */
};

/* A weight of op_upsample_conv: a 2x2 kernel for each parity, 2 * row + column. */
struct cpu_doubling {
  struct weight head;
  struct weight *parity[4];
};

enum status onednn_open(struct library **out);
void onednn_close(struct library **library);
dnnl_engine_t library_engine(const struct library *library);

/* From now on no call is larger than so many multiplications and additions, except that it has one
 * line of an image at least; BAND_WORK_MAX at birth. For tests. */
void library_cut_at(struct library *library, int64_t work_max);

/* y[b] = problem(x[b]) for b in [0, batch). The same bits for a row whatever the batch: rows are
 * given to oneDNN together only where a trial has shown that it makes no difference, else one by
 * one; a row that is much work is cut into bands (bands.h). */
struct library_run {
  const struct problem *problem;
  struct cpu_weight *weight;
  const void *x;
  void *y;
};
enum status library_run(struct cpu *cpu, const struct library_run *run, int64_t batch);

/* Which of the weight's layouts suits the problem; packs it anew if none does. (weight.c) */
enum status weight_suit(struct cpu *cpu, struct cpu_weight *weight, const struct problem *problem,
                        struct packed **out);

#endif
