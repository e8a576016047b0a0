/* matmul.c - matrix products. A batch row is the unit of bits: its tokens together, or one row of a
 * matrix. */
#include <string.h>

#include "kernels/cpu/calls.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/direct.h"

/* All rows side by side, whatever they belong to. */
static enum status multiply_directly(struct cpu *cpu, struct cpu_weight *weight,
                                     const struct tensor *x, const struct matmul_options *options,
                                     const struct tensor *y) {
  int64_t rows = tensor_count(x) / weight->head.inputs;
  struct direct call = {.x = x->data,
                        .y = y->data,
                        .y_element = y->element,
                        .y_pixel = weight->head.outputs,
                        .height = 1,
                        .width = rows,
                        .out_height = 1,
                        .out_width = rows,
                        .stride = 1,
                        .residual = options->residual != NULL ? options->residual->data : NULL,
                        .activation = options->activation};
  return direct_run(cpu, weight, 1, &call);
}

enum status cpu_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct matmul_options *options, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct cpu_weight *weight = (struct cpu_weight *)(uintptr_t)w;
  if (weight->panels != NULL) {
    return multiply_directly(cpu, weight, x, options, y);
  }
  int64_t rows = x->rank == 3 ? x->shape[1] : 1;
  struct problem problem =
      matmul_problem(cpu_products_by_convolution(cpu), w, rows, weight->bias != NULL);
  problem.output = y->element;
  problem.activation = options->activation;
  problem.adds = options->residual != NULL;
  if (options->residual != NULL && options->residual->data != y->data) {
    memcpy(y->data, options->residual->data, tensor_bytes(y));
  }
  const struct library_run run = {&problem, weight, x->data, y->data};
  return call_library(cpu, &run, x->shape[0]);
}
