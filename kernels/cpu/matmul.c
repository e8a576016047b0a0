/* matmul.c - matrix products. A batch row is the unit of bits: its tokens together, or one row of a
 * matrix. */
#include <string.h>

#include "kernels/cpu/cpu.h"

/* Below AVX-512 oneDNN's product is a classic gemm that cuts its sums by the number of rows and
 * threads; its 1x1 convolution does not, and is as fast. */
static bool is_convolution(const struct cpu *cpu) { return cpu->level < LEVEL_AVX512; }

struct problem matmul_problem(const struct cpu *cpu, const struct weight *w, int64_t rows,
                              bool has_bias) {
  struct problem p;
  memset(&p, 0, sizeof p);
  bool convolution = is_convolution(cpu);
  p.kind = convolution ? PROBLEM_CONV : PROBLEM_MATMUL;
  p.input = p.output = w->element;
  p.has_bias = has_bias;
  p.stride = 1;
  p.height = p.out_height = convolution ? 1 : rows;
  p.width = p.out_width = convolution ? rows : 1;
  p.inputs = w->inputs;
  p.outputs = w->outputs;
  p.kernel_height = p.kernel_width = 1;
  return p;
}

enum status cpu_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct matmul_options *options, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct cpu_weight *weight = (struct cpu_weight *)(uintptr_t)w;
  int64_t rows = x->rank == 3 ? x->shape[1] : 1;
  struct problem problem = matmul_problem(cpu, w, rows, weight->bias != NULL);
  problem.output = y->element;
  problem.activation = options->activation;
  problem.adds = options->residual != NULL;
  if (options->residual != NULL && options->residual->data != y->data) {
    memcpy(y->data, options->residual->data, tensor_bytes(y));
  }
  const struct library_run run = {&problem, weight, x->data, y->data};
  return library_run(cpu, &run, x->shape[0]);
}
