/* ops_product.c - matrix products and convolutions: by the library if it serves the problem whole,
 * else by the library's plain product and our epilogue behind it, else by our own kernel.
 *
 * Which of them it is depends on the problem alone, and the number of images is no part of a
 * problem: so it is the same for an image in any batch.
 */
#include "kernels/cuda/cuda.h"

static enum launch_element launched(enum element element) { return (enum launch_element)element; }

static struct library_workspace workspace_of(const struct cuda *cuda) {
  return cuda->scratch[cuda->queue];
}

/* ---- what both are: y = activation(conv(x, w) + bias) + channel_add + residual ---- */

struct work {
  struct convolution_problem problem;
  struct convolution_run run;
  enum activation activation; /* of matrix products only */
  enum element add_element;   /* of channel_add */
  int64_t y_image;
};

static cudaError_t launch_own(const struct work *work, cudaStream_t stream) {
  const struct convolution_problem *problem = &work->problem;
  const struct convolution_run *run = &work->run;
  const struct launch_product product = {.x = run->x,
                                         .w = run->w,
                                         .bias = run->bias,
                                         .channel_add = run->channel_add,
                                         .residual = run->residual,
                                         .y = run->y,
                                         .element = launched(problem->element),
                                         .y_element = launched(problem->y_element),
                                         .add_element = launched(work->add_element),
                                         .activation = (enum launch_activation)work->activation,
                                         .images = run->images,
                                         .height = problem->height,
                                         .width = problem->width,
                                         .inputs = problem->inputs,
                                         .out_height = problem->out_height,
                                         .out_width = problem->out_width,
                                         .outputs = problem->outputs,
                                         .kernel_height = problem->kernel_height,
                                         .kernel_width = problem->kernel_width,
                                         .stride = problem->stride,
                                         .pad_top = problem->pad_top,
                                         .pad_left = problem->pad_left,
                                         .y_image = work->y_image,
                                         .y_row = problem->y_row,
                                         .y_pixel = problem->y_pixel};
  return launch_product(&product, stream);
}

/* A 1x1 convolution is one as well. */
static bool is_matrix(const struct work *work) {
  const struct convolution_problem *problem = &work->problem;
  return problem->kernel_height == 1 && problem->kernel_width == 1 && problem->stride == 1 &&
         problem->pad_top == 0 && problem->pad_bottom == 0 && !problem->has_channel_add &&
         problem->y_pixel == problem->outputs;
}

static enum status ask_product(struct cuda *cuda, const struct work *work) {
  const struct convolution_problem *problem = &work->problem;
  const struct product_problem product = {.element = problem->element,
                                          .y_element = problem->y_element,
                                          .activation = work->activation,
                                          .has_bias = problem->has_bias,
                                          .has_residual = problem->has_residual,
                                          .rows = problem->out_height * problem->out_width,
                                          .inputs = problem->inputs,
                                          .outputs = problem->outputs};
  const struct product_run run = {.x = work->run.x,
                                  .w = work->run.w,
                                  .bias = work->run.bias,
                                  .bias_as_y = work->run.bias_as_y,
                                  .residual = work->run.residual,
                                  .y = work->run.y,
                                  .images = work->run.images};
  return library_product(cuda->library, &product, &run, workspace_of(cuda), cuda_stream(cuda));
}

static enum status ask_library(struct cuda *cuda, const struct work *work) {
  if (is_matrix(work)) {
    return cuda_library_outcome(cuda, ask_product(cuda, work));
  }
  if (work->problem.has_channel_add && work->add_element != work->problem.element) {
    return fail(UNAVAILABLE, "channel_add of another type");
  }
  return cuda_library_outcome(cuda, library_convolution(cuda->library, &work->problem, &work->run,
                                                        workspace_of(cuda), cuda_stream(cuda)));
}

/* ---- the library's plain product, and the rest behind it ---- */

/* Whether there is a rest at all that can wait: what is added in place would be gone, and the
 * epilogue runs over pixels that lie side by side. */
static bool can_split(const struct work *work) {
  const struct convolution_problem *problem = &work->problem;
  return (work->activation != ACTIVATION_NONE || problem->has_channel_add ||
          problem->has_residual) &&
         work->run.residual != work->run.y && problem->y_pixel == problem->outputs;
}

static cudaError_t launch_rest(const struct work *work, cudaStream_t stream) {
  const struct launch_epilogue epilogue = {
      .x = work->run.y,
      .y = work->run.y,
      .channel_add = work->run.channel_add,
      .residual = work->run.residual,
      .x_element = launched(work->problem.y_element),
      .element = launched(work->problem.y_element),
      .add_element = launched(work->add_element),
      .activation = (enum launch_activation)work->activation,
      .images = work->run.images,
      .pixels = work->problem.out_height * work->problem.out_width,
      .channels = (int)work->problem.outputs};
  return launch_epilogue(&epilogue, stream);
}

static enum status ask_library_in_two(struct cuda *cuda, const struct work *work) {
  struct work plain = *work;
  plain.activation = ACTIVATION_NONE;
  plain.problem.has_channel_add = plain.problem.has_residual = 0;
  plain.run.channel_add = plain.run.residual = NULL;
  TRY(ask_library(cuda, &plain));
  return CUDA(cuda, launch_rest(work, cuda_stream(cuda)));
}

static enum status serve(struct cuda *cuda, const struct work *work) {
  enum status status = UNAVAILABLE;
  if (!cuda->own) {
    status = ask_library(cuda, work);
    if (status == UNAVAILABLE && can_split(work)) {
      status = ask_library_in_two(cuda, work);
    }
  }
  return status == UNAVAILABLE ? CUDA(cuda, launch_own(work, cuda_stream(cuda))) : status;
}

/* ---- the ops ---- */

/* The bias in y's element, which is f32 or the weight's. */
static const void *bias_as_y(const struct weight *w, const struct tensor *y) {
  const struct cuda_weight *weight = weight_of(w);
  return y->element == ELEMENT_F32 ? weight->bias : weight->bias_rounded;
}

static void *data_of(const struct tensor *tensor) { return tensor != NULL ? tensor->data : NULL; }

/* Rows of one image are the pixels of a picture of one line. Of rank 2, every row is an image. */
enum status cuda_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                        const struct matmul_options *options, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct cuda_weight *weight = weight_of(w);
  int64_t rows = x->rank == 3 ? x->shape[1] : 1;
  const struct work work = {.problem = {.element = x->element,
                                        .y_element = y->element,
                                        .has_bias = weight->bias != NULL,
                                        .has_residual = options->residual != NULL,
                                        .height = 1,
                                        .width = rows,
                                        .inputs = w->inputs,
                                        .out_height = 1,
                                        .out_width = rows,
                                        .outputs = w->outputs,
                                        .kernel_height = 1,
                                        .kernel_width = 1,
                                        .stride = 1,
                                        .y_row = rows * w->outputs,
                                        .y_pixel = w->outputs},
                            .run = {.x = x->data,
                                    .w = weight->kernel,
                                    .bias = weight->bias,
                                    .bias_as_y = bias_as_y(w, y),
                                    .residual = data_of(options->residual),
                                    .y = y->data,
                                    .images = x->shape[0]},
                            .activation = options->activation,
                            .add_element = y->element,
                            .y_image = rows * w->outputs};
  return serve(cuda, &work);
}

static struct convolution_problem problem_of(const struct tensor *x, const struct weight *w,
                                             const struct tensor *y) {
  return (struct convolution_problem){.element = x->element,
                                      .y_element = y->element,
                                      .has_bias = weight_of(w)->bias != NULL,
                                      .height = x->shape[1],
                                      .width = x->shape[2],
                                      .inputs = w->inputs,
                                      .out_height = y->shape[1],
                                      .out_width = y->shape[2],
                                      .outputs = w->outputs,
                                      .kernel_height = (int)w->kernel_height,
                                      .kernel_width = (int)w->kernel_width,
                                      .stride = 1,
                                      .y_row = y->shape[2] * w->outputs,
                                      .y_pixel = w->outputs};
}

enum status cuda_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                        const struct conv_options *options, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct tensor *add = options->channel_add;
  struct work work = {.problem = problem_of(x, w, y),
                      .run = {.x = x->data,
                              .w = weight_of(w)->kernel,
                              .bias = weight_of(w)->bias,
                              .bias_as_y = bias_as_y(w, y),
                              .channel_add = data_of(add),
                              .residual = data_of(options->residual),
                              .y = y->data,
                              .images = x->shape[0]},
                      .add_element = add != NULL ? add->element : x->element,
                      .y_image = y->shape[1] * y->shape[2] * w->outputs};
  work.problem.has_channel_add = add != NULL;
  work.problem.has_residual = options->residual != NULL;
  work.problem.stride = options->stride;
  work.problem.pad_top = work.problem.pad_left = options->pad_before;
  work.problem.pad_bottom = work.problem.pad_right = options->pad_after;
  TRY(serve(cuda, &work));
  /* behind the whole sum no library has it; only tiny decoders ask, and a relu rounds nothing */
  return options->activation == ACTIVATION_NONE ? OK
                                                : cuda_activate(device, options->activation, y, y);
}

/* The pixels of one parity of y: a 2x2 convolution of x that sees the pixel before its own for an
 * even row or column, the one behind for an odd one, and writes every other pixel of every other
 * row. */
static enum status convolve_parity(struct cuda *cuda, struct work work, int row, int column) {
  struct convolution_problem *problem = &work.problem;
  size_t value = element_bytes(problem->y_element);
  problem->pad_top = 1 - row;
  problem->pad_bottom = row;
  problem->pad_left = 1 - column;
  problem->pad_right = column;
  work.run.y = (char *)work.run.y +
               (size_t)(row * problem->y_row / 2 + column * problem->y_pixel / 2) * value;
  return serve(cuda, &work);
}

enum status cuda_upsample_conv(struct device *device, const struct tensor *x,
                               const struct weight *w, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  struct work work = {
      .problem = problem_of(x, w, y),
      .run = {.x = x->data, .bias = weight_of(w)->bias, .bias_as_y = bias_as_y(w, y), .y = y->data},
      .add_element = x->element,
      .y_image = y->shape[1] * y->shape[2] * w->outputs};
  work.run.images = x->shape[0];
  work.problem.out_height = x->shape[1];
  work.problem.out_width = x->shape[2];
  work.problem.kernel_height = work.problem.kernel_width = 2;
  work.problem.y_row *= 2; /* two rows, two pixels of y on */
  work.problem.y_pixel *= 2;
  for (int parity = 0; parity < 4; parity++) {
    work.run.w = (const char *)weight_of(w)->kernel + (size_t)parity * weight_parity_bytes(w);
    TRY(convolve_parity(cuda, work, parity / 2, parity % 2));
  }
  return OK;
}
