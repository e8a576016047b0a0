/* ops_other.c - norms, attention, what moves or works on single values, and the sampler's side: ops
 * as the arguments of our kernels. Of these the library serves only self attention. */
#include "kernels/cuda/cuda.h"

/* launch.h speaks to CUDA C, which has neither of these headers. */
_Static_assert((int)LAUNCH_F32 == (int)ELEMENT_F32 && (int)LAUNCH_BF16 == (int)ELEMENT_BF16 &&
                   (int)LAUNCH_F16 == (int)ELEMENT_F16,
               "elements have the same numbers");
_Static_assert((int)LAUNCH_NONE == (int)ACTIVATION_NONE &&
                   (int)LAUNCH_SILU == (int)ACTIVATION_SILU &&
                   (int)LAUNCH_GELU == (int)ACTIVATION_GELU &&
                   (int)LAUNCH_QUICK_GELU == (int)ACTIVATION_QUICK_GELU &&
                   (int)LAUNCH_RELU == (int)ACTIVATION_RELU &&
                   (int)LAUNCH_SOFT_CLAMP == (int)ACTIVATION_SOFT_CLAMP,
               "so have activations");

static enum launch_element element_of(const struct tensor *tensor) {
  return (enum launch_element)tensor->element;
}

static int64_t columns_of(const struct tensor *tensor) { return tensor->shape[tensor->rank - 1]; }
static int64_t rows_of(const struct tensor *tensor) {
  return tensor_count(tensor) / columns_of(tensor);
}
static int64_t row_bytes(const struct tensor *tensor) {
  return columns_of(tensor) * (int64_t)element_bytes(tensor->element);
}

/* ---- norms ---- */

static struct launch_norm norm_of(const struct cuda *cuda, const struct tensor *x,
                                  const struct norm *norm, const struct tensor *y) {
  return (struct launch_norm){.x = x->data,
                              .y = y->data,
                              .gamma = norm->gamma.data,
                              .beta = norm->beta.data,
                              .scratch = cuda->scratch[cuda->queue].data,
                              .element = element_of(x),
                              .channels = (int)columns_of(x),
                              .groups = 1,
                              .epsilon = norm->epsilon};
}

enum status cuda_group_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                            bool silu, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  struct launch_norm launch = norm_of(cuda, x, norm, y);
  launch.images = x->shape[0];
  launch.pixels = x->shape[1] * x->shape[2];
  launch.groups = norm->groups;
  launch.silu = silu;
  if (launch_norm_scratch(&launch) > cuda->scratch[cuda->queue].bytes) {
    return fail(EXHAUSTED, "%s: a group norm over %lld images of %lld pixels wants %zu MiB",
                cuda->head.name, (long long)launch.images, (long long)launch.pixels,
                launch_norm_scratch(&launch) >> 20);
  }
  return CUDA(cuda, launch_group_norm(&launch, cuda_stream(cuda)));
}

enum status cuda_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                            const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  struct launch_norm launch = norm_of(cuda, x, norm, y);
  launch.images = x->shape[0];
  launch.pixels = rows_of(x) / (x->shape[0] > 0 ? x->shape[0] : 1);
  return CUDA(cuda, launch_layer_norm(&launch, cuda_stream(cuda)));
}

/* ---- attention ---- */

static const void *first_of(const struct columns *columns) {
  size_t value = element_bytes(columns->tensor->element);
  return (const char *)columns->tensor->data + (size_t)columns->first * value;
}
static int64_t token_step(const struct columns *columns) { return columns->tensor->shape[2]; }
static int64_t image_step(const struct columns *columns) {
  return columns->tensor->shape[1] * columns->tensor->shape[2];
}

static enum status ask_library(struct cuda *cuda, const struct attention *attention,
                               const struct tensor *y) {
  const struct columns *q = &attention->q, *k = &attention->k, *v = &attention->v;
  const struct attention_problem problem = {.element = y->element,
                                            .tokens = y->shape[1],
                                            .keys = k->tensor->shape[1],
                                            .heads = attention->heads,
                                            .depth = (int)(y->shape[2] / attention->heads),
                                            .causal = attention->causal,
                                            .q_token = token_step(q),
                                            .k_token = token_step(k),
                                            .v_token = token_step(v),
                                            .y_token = y->shape[2],
                                            .q_image = image_step(q),
                                            .k_image = image_step(k),
                                            .v_image = image_step(v),
                                            .y_image = y->shape[1] * y->shape[2]};
  const struct attention_run run = {first_of(q), first_of(k), first_of(v), y->data, y->shape[0]};
  const struct library_workspace workspace = cuda->scratch[cuda->queue];
  return cuda_library_outcome(
      cuda, library_attention(cuda->library, &problem, &run, workspace, cuda_stream(cuda)));
}

static struct launch_attention own_attention(const struct attention *attention,
                                             const struct tensor *y) {
  struct launch_attention launch = {.q = first_of(&attention->q),
                                    .y = y->data,
                                    .q_image = image_step(&attention->q),
                                    .q_token = token_step(&attention->q),
                                    .rows = attention->rows,
                                    .column = attention->column,
                                    .element = element_of(y),
                                    .images = y->shape[0],
                                    .tokens = y->shape[1],
                                    .heads = attention->heads,
                                    .depth = (int)(y->shape[2] / attention->heads),
                                    .causal = attention->causal};
  if (attention->rows == NULL) {
    launch.k = first_of(&attention->k);
    launch.v = first_of(&attention->v);
    launch.k_image = image_step(&attention->k);
    launch.v_image = image_step(&attention->v);
    launch.k_token = token_step(&attention->k);
    launch.v_token = token_step(&attention->v);
    launch.keys = attention->k.tensor->shape[1];
  }
  return launch;
}

/* Cross attention is ours alone: prompts of a batch lie anywhere and have any number of tokens. */
enum status cuda_attention(struct device *device, const struct attention *attention,
                           const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  if (attention->rows == NULL && !cuda->own) {
    enum status status = ask_library(cuda, attention, y);
    if (status != UNAVAILABLE) {
      return status;
    }
  }
  const struct launch_attention launch = own_attention(attention, y);
  return CUDA(cuda, launch_attention(&launch, cuda_stream(cuda)));
}

/* ---- pointwise and moving ---- */

enum status cuda_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_geglu launch = {x->data, y->data, element_of(x), rows_of(y),
                                      (int)columns_of(y)};
  return CUDA(cuda, launch_geglu(&launch, cuda_stream(cuda)));
}

enum status cuda_concat(struct device *device, const struct tensor *a, const struct tensor *b,
                        const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_concat launch = {a->data,    b->data,      y->data,
                                       rows_of(y), row_bytes(a), row_bytes(b)};
  return CUDA(cuda, launch_concat(&launch, cuda_stream(cuda)));
}

enum status cuda_upsample(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_upsample launch = {.x = x->data,
                                         .y = y->data,
                                         .images = x->shape[0],
                                         .height = x->shape[1],
                                         .width = x->shape[2],
                                         .out_height = y->shape[1],
                                         .out_width = y->shape[2],
                                         .pixel = row_bytes(x)};
  return CUDA(cuda, launch_upsample(&launch, cuda_stream(cuda)));
}

enum status cuda_timestep_embedding(struct device *device, const struct batch_row *rows,
                                    const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_timesteps launch = {rows, y->data, element_of(y), (int)y->shape[0],
                                          (int)y->shape[1]};
  return CUDA(cuda, launch_timesteps(&launch, cuda_stream(cuda)));
}

enum status cuda_embed(struct device *device, const struct words *words, const struct tensor *ids,
                       const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_embed launch = {.table = words->table->data,
                                      .extra = words->extra != NULL ? words->extra->data : NULL,
                                      .positions = words->positions->data,
                                      .ids = ids->data,
                                      .y = y->data,
                                      .element = element_of(y),
                                      .rows = y->shape[0],
                                      .tokens = y->shape[1],
                                      .width = y->shape[2],
                                      .words = words->table->shape[0]};
  return CUDA(cuda, launch_embed(&launch, cuda_stream(cuda)));
}

/* ---- latents ---- */

static int64_t values_of_image(const struct tensor *t) {
  return t->shape[0] > 0 ? tensor_count(t) / t->shape[0] : 0;
}

enum status cuda_gather(struct device *device, const struct batch_row *rows, int64_t channels,
                        const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_gather launch = {.rows = rows,
                                       .y = y->data,
                                       .element = element_of(y),
                                       .images = y->shape[0],
                                       .pixels = y->shape[1] * y->shape[2],
                                       .channels = (int)channels,
                                       .planes = (int)(y->shape[3] - channels)};
  return CUDA(cuda, launch_gather(&launch, cuda_stream(cuda)));
}

enum status cuda_advance(struct device *device, const struct batch_sample *samples, int count,
                         const struct tensor *prediction, const struct tensor *finite) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_advance launch = {.samples = samples,
                                        .prediction = prediction->data,
                                        .finite = finite->data,
                                        .shares = cuda->scratch[cuda->queue].data,
                                        .count = count,
                                        .values = values_of_image(prediction),
                                        .channels = (int)prediction->shape[3]};
  return CUDA(cuda, launch_advance(&launch, cuda_stream(cuda)));
}

enum status cuda_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_pixels launch = {x->data, y->data, element_of(x), tensor_count(x)};
  return CUDA(cuda, launch_pixels(&launch, cuda_stream(cuda)));
}

enum status cuda_finite(struct device *device, const struct tensor *x,
                        const struct tensor *finite) {
  struct cuda *cuda = cuda_of(device);
  const struct launch_finite launch = {x->data, finite->data, element_of(x), x->shape[0],
                                       values_of_image(x)};
  return CUDA(cuda, launch_finite(&launch, cuda_stream(cuda)));
}
