/* conv.c - convolutions. What is to be added is put into y first, and oneDNN adds to what it finds there. */
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

struct problem conv_problem(const struct cpu *cpu, const struct weight *w, bool has_bias) {
  struct problem p;
  memset(&p, 0, sizeof p);
  p.kind = PROBLEM_CONV;
  p.input = p.output = cpu->head.element;
  p.has_bias = has_bias;
  p.stride = 1;
  p.inputs = w->inputs;
  p.outputs = w->outputs;
  p.kernel_height = w->kernel_height;
  p.kernel_width = w->kernel_width;
  return p;
}

/* What y holds before the convolution: residual + channel_add, either may be missing. */
struct addends {
  const struct tensor *channels, *residual, *y;
};

/* Of the pixel whose values start at `start` and whose image's channels start at `channels`. */
INLINE void prepare_some(const struct addends *a, int64_t start, int64_t channels, int64_t some) {
  v16 sum = load_some(a->channels->data, a->channels->element, channels, some);
  if (a->residual != NULL) {
    sum += load_some(a->residual->data, a->residual->element, start, some);
  }
  store_some(a->y->data, a->y->element, start, sum, some);
}

INLINE void prepare_pixel(const struct addends *a, int64_t pixel) {
  int64_t outputs = a->y->shape[3], whole = whole_vectors(outputs), start = pixel * outputs;
  int64_t channels = pixel / (a->y->shape[1] * a->y->shape[2]) * outputs;
  for (int64_t o = 0; o < whole; o += LANES) {
    prepare_some(a, start + o, channels + o, LANES);
  }
  if (whole < outputs) {
    prepare_some(a, start + whole, channels + whole, outputs - whole);
  }
}

INLINE void prepare(const void *arguments, int64_t first, int64_t end) {
  for (int64_t pixel = first; pixel < end; pixel++) {
    prepare_pixel(arguments, pixel);
  }
}
KERNEL(prepare)

static void put_addends(struct cpu *cpu, const struct conv_options *options, const struct tensor *y) {
  if (options->channel_add != NULL) {
    const struct addends addends = {options->channel_add, options->residual, y};
    int64_t pixels = y->shape[0] * y->shape[1] * y->shape[2];
    cpu_parallel(cpu, &prepare_kernel, &addends, pixels, 16384 / y->shape[3] + 1);
  } else if (options->residual != NULL && options->residual->data != y->data) {
    memcpy(y->data, options->residual->data, tensor_bytes(y));
  }
}

enum status cpu_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct conv_options *options, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct cpu_weight *weight = (struct cpu_weight *)(uintptr_t)w;
  struct problem problem = conv_problem(cpu, w, weight->bias != NULL);
  problem.output = y->element;
  problem.adds = options->residual != NULL || options->channel_add != NULL;
  problem.stride = options->stride;
  problem.pad_before = options->pad_before;
  problem.pad_after = options->pad_after;
  problem.height = x->shape[1];
  problem.width = x->shape[2];
  problem.out_height = y->shape[1];
  problem.out_width = y->shape[2];
  put_addends(cpu, options, y);
  const struct library_run run = {&problem, weight, x->data, y->data};
  return library_run(cpu, &run, x->shape[0]);
}
