/* problem.h - a product or convolution as plain facts: everything that a primitive depends on,
 * except the batch. */
#ifndef DARKROOM_KERNELS_CPU_PROBLEM_H
#define DARKROOM_KERNELS_CPU_PROBLEM_H

#include "kernels/backend.h"

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

/* What follows from the weight. A product has `rows` rows, and is one of the kinds: by a 1x1
 * convolution where oneDNN's own product does not keep rows apart. */
struct problem matmul_problem(bool by_convolution, const struct weight *w, int64_t rows,
                              bool has_bias);
struct problem conv_problem(const struct weight *w, bool has_bias);

/* Of one batch row: multiplications and additions, bytes of x and of y. */
int64_t problem_work(const struct problem *problem);
int64_t problem_input_bytes(const struct problem *problem);
int64_t problem_output_bytes(const struct problem *problem);

#endif
