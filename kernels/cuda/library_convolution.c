/* library_convolution.c - convolutions by cuDNN: NHWC, with bias, channel add and residual fused.
 *
 * y = conv(x, w) [+ bias] [+ channel_add] [+ residual] is one graph; what passes between its
 * operations is f32 and never in memory, so there is one rounding, at the end.
 */
#include <assert.h>
#include <string.h>

#include "kernels/cuda/library_plan.h"

enum { ID_X = 1, ID_W, ID_BIAS, ID_CHANNEL_ADD, ID_RESIDUAL, ID_Y, ID_PASSING };
#define OPERANDS_MAX 6

static cudnnDataType_t type_of(enum element element) {
  static const cudnnDataType_t types[ELEMENT_COUNT] = {
      [ELEMENT_F32] = CUDNN_DATA_FLOAT,
      [ELEMENT_BF16] = CUDNN_DATA_BFLOAT16,
      [ELEMENT_F16] = CUDNN_DATA_HALF,
  };
  assert(element == ELEMENT_F32 || element == ELEMENT_BF16 || element == ELEMENT_F16);
  return types[element];
}

/* A picture of NHWC: sizes in cuDNN's order, steps from one to the next. */
struct picture {
  int64_t images, channels, height, width;
  int64_t row, pixel; /* values */
};

static enum status picture(struct graph *graph, int64_t id, enum element element,
                           const struct picture *p, cudnnBackendDescriptor_t *out) {
  struct graph_tensor tensor = {
      .id = id,
      .type = type_of(element),
      .size = {p->images, p->channels, p->height, p->width},
      .stride = {p->height * p->row, 1, p->row, p->pixel},
      .alignment = library_alignment(p->pixel * (int64_t)element_bytes(element)),
      .passing = id >= ID_PASSING,
  };
  return graph_tensor(graph, &tensor, out);
}

static struct picture output_of(const struct convolution_problem *p, int64_t images) {
  return (struct picture){images, p->outputs, p->out_height, p->out_width, p->y_row, p->y_pixel};
}

/* One number a channel: of all images, or of each. */
static struct picture channels_of(const struct convolution_problem *p, int64_t images) {
  return (struct picture){images, p->outputs, 1, 1, p->outputs, p->outputs};
}

/* What is added behind the convolution, in this order: with a residual first and a bias behind it
 * cuDNN has kernels ready; for other graphs it compiles one. */
struct addends {
  int64_t id[3];
  enum element element[3];
  struct picture shape[3];
  int count;
};

static struct addends addends_of(const struct convolution_problem *p, int64_t images) {
  struct addends a = {0};
  if (p->has_residual) {
    a.id[a.count] = ID_RESIDUAL;
    a.element[a.count] = p->y_element;
    a.shape[a.count++] = output_of(p, images);
  }
  if (p->has_bias) {
    a.id[a.count] = ID_BIAS;
    a.element[a.count] = p->y_element;
    a.shape[a.count++] = channels_of(p, 1);
  }
  if (p->has_channel_add) {
    a.id[a.count] = ID_CHANNEL_ADD;
    a.element[a.count] = p->element;
    a.shape[a.count++] = channels_of(p, images);
  }
  return a;
}

/* The result of an operation: y itself behind the last one, else a picture that only passes. */
static enum status result(struct graph *graph, const struct convolution_problem *p, int64_t images,
                          int left, cudnnBackendDescriptor_t *out) {
  struct picture shape = output_of(p, images);
  if (left == 0) {
    return picture(graph, ID_Y, p->y_element, &shape, out);
  }
  shape.pixel = p->outputs;
  shape.row = p->outputs * p->out_width;
  return picture(graph, ID_PASSING + left, ELEMENT_F32, &shape, out);
}

/* Nothing is ready for a sum of each image and channel, and compiling takes a second: once for all
 * shapes instead of for each problem and number of images. */
static bool is_compiled(const struct convolution_problem *p) { return p->has_channel_add != 0; }

static enum status make_graph(const void *problem, int64_t images, struct graph *graph) {
  const struct convolution_problem *p = problem;
  const struct addends addends = addends_of(p, images);
  const struct picture x = {images,   p->inputs, p->height, p->width, p->width * p->inputs,
                            p->inputs};
  const struct picture w = {
      p->outputs, p->inputs, p->kernel_height, p->kernel_width, p->kernel_width * p->inputs,
      p->inputs};
  struct graph_operands operands = {0};
  TRY(picture(graph, ID_X, p->element, &x, &operands.x));
  TRY(picture(graph, ID_W, p->element, &w, &operands.w));
  TRY(result(graph, p, images, addends.count, &operands.y));
  const struct graph_convolution convolution = {.sum = CUDNN_DATA_FLOAT,
                                                .stride = {p->stride, p->stride},
                                                .pad_before = {p->pad_top, p->pad_left},
                                                .pad_after = {p->pad_bottom, p->pad_right}};
  TRY(graph_convolve(graph, &convolution, &operands));
  for (int i = 0; i < addends.count; i++) {
    operands.x = operands.y;
    TRY(picture(graph, addends.id[i], addends.element[i], &addends.shape[i], &operands.w));
    TRY(result(graph, p, images, addends.count - 1 - i, &operands.y));
    TRY(graph_add(graph, &operands));
  }
  graph->any_shape = is_compiled(p);
  return graph_finish(graph);
}

static struct library_key key_of(const struct convolution_problem *p) {
  return (struct library_key){.value = {LIBRARY_CONVOLUTION, p->element,         p->y_element,
                                        p->has_bias,         p->has_channel_add, p->has_residual,
                                        p->height,           p->width,           p->inputs,
                                        p->out_height,       p->out_width,       p->outputs,
                                        p->kernel_height,    p->kernel_width,    p->stride,
                                        p->pad_top,          p->pad_left,        p->pad_bottom,
                                        p->pad_right,        p->y_row,           p->y_pixel}};
}

enum status library_convolution_plan(struct library *library,
                                     const struct convolution_problem *problem, int64_t images,
                                     size_t workspace_bytes, struct plan **out, bool *together) {
  const struct graph_maker maker = {
      .make = make_graph,
      .problem = problem,
      .key = key_of(problem),
      .kernels = {.value = {LIBRARY_KERNELS, problem->element, problem->y_element,
                            problem->has_bias, problem->has_channel_add, problem->has_residual}}};
  return plan_get(library, &maker, images, workspace_bytes, out, together);
}

/* Queues the plan for images [first, first + as many as the plan is for). */
static enum status run_from(struct library *library, const struct plan *plan,
                            const struct convolution_problem *p, const struct convolution_run *run,
                            int64_t first, const struct library_place *place) {
  const size_t bytes = element_bytes(p->element), y_bytes = element_bytes(p->y_element);
  const size_t y_offset = (size_t)(first * p->out_height * p->y_row) * y_bytes;
  int64_t id[OPERANDS_MAX] = {ID_X, ID_W, ID_Y};
  void *memory[OPERANDS_MAX] = {
      (char *)run->x + (size_t)(first * p->height * p->width * p->inputs) * bytes, (void *)run->w,
      (char *)run->y + y_offset};
  int count = 3;
  if (p->has_bias) {
    id[count] = ID_BIAS;
    memory[count++] = (void *)run->bias_as_y;
  }
  if (p->has_channel_add) {
    id[count] = ID_CHANNEL_ADD;
    memory[count++] = (char *)run->channel_add + (size_t)(first * p->outputs) * bytes;
  }
  if (p->has_residual) {
    id[count] = ID_RESIDUAL;
    memory[count++] = (char *)run->residual + y_offset;
  }
  const struct plan_memory given = {id, memory, count};
  return plan_run(library, plan, &given, place);
}

enum status library_convolution(struct library *library, const struct convolution_problem *problem,
                                const struct convolution_run *run,
                                struct library_workspace workspace, cudaStream_t stream) {
  struct plan *plan = NULL;
  bool together = false;
  assert(!problem->has_bias || run->bias_as_y != NULL);
  TRY(library_convolution_plan(library, problem, run->images, workspace.bytes, &plan, &together));
  const struct library_place place = {workspace, stream};
  for (int64_t i = 0; i < (together ? 1 : run->images); i++) {
    TRY(run_from(library, plan, problem, run, i, &place));
  }
  return OK;
}
