/* conv.c - convolutions. What is to be added is put into y first, and oneDNN adds to what it finds
 * there. */
#include <string.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/calls.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/direct.h"

static void put_addends(struct cpu *cpu, const struct conv_options *options,
                        const struct tensor *y) {
  if (options->channel_add != NULL) {
    const struct addends addends = {options->channel_add, options->residual, y};
    int64_t pixels = y->shape[0] * y->shape[1] * y->shape[2];
    cpu_parallel(cpu, cpu->bodies->prepare, &addends, pixels, 65536 / y->shape[3] + 1);
  } else if (options->residual != NULL && options->residual->data != y->data) {
    memcpy(y->data, options->residual->data, tensor_bytes(y));
  }
}

static enum status convolve_directly(struct cpu *cpu, struct cpu_weight *weight,
                                     const struct tensor *x, const struct conv_options *options,
                                     const struct tensor *y) {
  const int64_t pixel = weight->head.outputs;
  struct direct call = {.x = x->data,
                        .y = y->data,
                        .y_element = y->element,
                        .y_pixel = pixel,
                        .y_row = pixel * y->shape[2],
                        .y_image = pixel * y->shape[2] * y->shape[1],
                        .height = x->shape[1],
                        .width = x->shape[2],
                        .out_height = y->shape[1],
                        .out_width = y->shape[2],
                        .stride = options->stride,
                        .pad_top = options->pad_before,
                        .pad_left = options->pad_before,
                        .residual = options->residual != NULL ? options->residual->data : NULL,
                        .channels = options->channel_add,
                        .activation = options->activation,
                        .activates_last = true};
  return direct_run(cpu, weight, x->shape[0], &call);
}

enum status cpu_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct conv_options *options, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct cpu_weight *weight = (struct cpu_weight *)(uintptr_t)w;
  if (weight->panels != NULL) {
    return convolve_directly(cpu, weight, x, options, y);
  }
  struct problem problem = conv_problem(w, weight->bias != NULL);
  problem.output = y->element;
  problem.adds = options->residual != NULL || options->channel_add != NULL;
  problem.activation = options->activation;
  problem.activates_last = options->activation != ACTIVATION_NONE;
  problem.stride = options->stride;
  problem.pad_top = problem.pad_left = options->pad_before;
  problem.pad_bottom = problem.pad_right = options->pad_after;
  problem.height = x->shape[1];
  problem.width = x->shape[2];
  problem.out_height = y->shape[1];
  problem.out_width = y->shape[2];
  put_addends(cpu, options, y);
  const struct library_run run = {&problem, weight, x->data, y->data};
  return call_library(cpu, &run, x->shape[0]);
}
