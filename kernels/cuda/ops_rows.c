/* ops_rows.c - what rows bring along, activations by themselves, and what stands behind the
 * encoders: ops as the arguments of our kernels. */
#include "kernels/cuda/cuda.h"

static enum launch_element element_of(const struct tensor *tensor) {
  return (enum launch_element)tensor->element;
}

static int64_t columns_of(const struct tensor *tensor) { return tensor->shape[tensor->rank - 1]; }

enum status cuda_adapt(struct device *device, const struct batch_row *rows, struct modules modules,
                       const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_adapt launch = {.rows = rows,
                                      .x = x->data,
                                      .y = y->data,
                                      .element = element_of(x),
                                      .y_element = element_of(y),
                                      .images = x->shape[0],
                                      .tokens = x->rank == 3 ? x->shape[1] : 1,
                                      .inputs = columns_of(x),
                                      .outputs = columns_of(y) / modules.count,
                                      .first = modules.first,
                                      .modules = modules.count};
  return CUDA(cuda, launch_adapt(&launch, cuda_stream(cuda)));
}

enum status cuda_activate(struct device *device, enum activation activation, const struct tensor *x,
                          const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_activate launch = {x->data, y->data, element_of(x),
                                         (enum launch_activation)activation, tensor_count(x)};
  return CUDA(cuda, launch_activate(&launch, cuda_stream(cuda)));
}

enum status cuda_add_rows(struct device *device, const struct batch_row *rows, int64_t first,
                          const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_add_rows launch = {rows,        x->data,     y->data, element_of(x),
                                         x->shape[0], x->shape[1], first};
  return CUDA(cuda, launch_add_rows(&launch, cuda_stream(cuda)));
}

static struct launch_control control_of(const struct batch_control *controls,
                                        const struct tensor *y) {
  return (struct launch_control){.controls = controls,
                                 .y = y->data,
                                 .element = element_of(y),
                                 .images = y->shape[0],
                                 .values = tensor_count(y) / y->shape[0]};
}

enum status cuda_control_add(struct device *device, const struct batch_control *controls, int skip,
                             const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  struct launch_control launch = control_of(controls, y);
  launch.x = x->data;
  launch.skip = skip;
  return CUDA(cuda, launch_control(&launch, cuda_stream(cuda)));
}

enum status cuda_hint_add(struct device *device, const struct batch_control *controls,
                          const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_control launch = control_of(controls, y);
  return CUDA(cuda, launch_control(&launch, cuda_stream(cuda)));
}

enum status cuda_weigh(struct device *device, const struct tensor *weights,
                       const struct tensor *x) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_weigh launch = {weights->data, x->data, element_of(x), x->shape[0],
                                      x->shape[1]};
  return CUDA(cuda, launch_weigh(&launch, cuda_stream(cuda)));
}

enum status cuda_posterior(struct device *device, const struct tensor *moments,
                           const struct tensor *noise, float scale, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_posterior launch = {.moments = moments->data,
                                          .noise = noise->data,
                                          .y = y->data,
                                          .element = element_of(moments),
                                          .pixels = y->shape[0] * y->shape[1],
                                          .channels = (int)y->shape[2],
                                          .scale = scale};
  return CUDA(cuda, launch_posterior(&launch, cuda_stream(cuda)));
}
