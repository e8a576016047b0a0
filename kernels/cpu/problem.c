/* problem.c - problems from weights, and what follows from them. */
#include "kernels/cpu/problem.h"

#include <string.h>

struct problem matmul_problem(bool by_convolution, const struct weight *w, int64_t rows,
                              bool has_bias) {
  struct problem p;
  memset(&p, 0, sizeof p);
  p.kind = by_convolution ? PROBLEM_CONV : PROBLEM_MATMUL;
  p.input = p.output = w->element;
  p.has_bias = has_bias;
  p.stride = 1;
  p.height = p.out_height = by_convolution ? 1 : rows;
  p.width = p.out_width = by_convolution ? rows : 1;
  p.inputs = w->inputs;
  p.outputs = w->outputs;
  p.kernel_height = p.kernel_width = 1;
  return p;
}

struct problem conv_problem(const struct weight *w, bool has_bias) {
  struct problem p;
  memset(&p, 0, sizeof p);
  p.kind = PROBLEM_CONV;
  p.input = p.output = w->element;
  p.has_bias = has_bias;
  p.stride = 1;
  p.inputs = w->inputs;
  p.outputs = w->outputs;
  p.kernel_height = w->kernel_height;
  p.kernel_width = w->kernel_width;
  return p;
}

int64_t problem_work(const struct problem *p) {
  return 2 * p->out_height * p->out_width * p->outputs * p->inputs * p->kernel_height *
         p->kernel_width;
}

int64_t problem_input_bytes(const struct problem *p) {
  return p->height * p->width * p->inputs * (int64_t)element_bytes(p->input);
}

int64_t problem_output_bytes(const struct problem *p) {
  return p->out_height * p->out_width * p->outputs * (int64_t)element_bytes(p->output);
}
