/* ops.c - shapes and types checked here, once; then the device's row. A wrong shape is our own
 * mistake. */
#include "kernels/ops.h"

#include <assert.h>
#include <stddef.h>

#include "base/limits.h"
#include "base/progress.h"
#include "kernels/backend.h"

/* Whatever the device, the end of an op is work done; long ones count from within, too. */
static enum status done(enum status status) {
  progress_count();
  return status;
}

static bool is_activations(const struct device *device, const struct tensor *t) {
  bool held = false;
  for (int i = 0; i < PRECISION_COUNT; i++) {
    held = held || t->element == device->element[i];
  }
  return held;
}

static bool is_activations_or_f32(const struct device *device, const struct tensor *t) {
  return is_activations(device, t) || t->element == ELEMENT_F32;
}

/* y may be what x is, or f32. */
static bool goes_to(const struct tensor *x, const struct tensor *y) {
  return y->element == x->element || y->element == ELEMENT_F32;
}

static bool is_float(const struct tensor *t) {
  return t->element == ELEMENT_F32 || t->element == ELEMENT_BF16 || t->element == ELEMENT_F16;
}

static int64_t columns_of(const struct tensor *t) { return t->shape[t->rank - 1]; }

/* The same shape in all but the last dimension. */
static bool same_rows(const struct tensor *a, const struct tensor *b) {
  struct tensor other = *b;
  other.shape[other.rank - 1] = columns_of(a);
  return tensor_same_shape(a, &other);
}

static bool is_shape(const struct tensor *t, int rank, const int64_t *shape) {
  const struct tensor wanted = {.rank = rank,
                                .shape = {shape[0], shape[1], shape[2], rank > 3 ? shape[3] : 1}};
  return tensor_same_shape(t, &wanted);
}

/* ---- weights ---- */

enum status weight_pack(struct device *device, const struct weight_source *source,
                        struct weight **out) {
  const struct tensor *kernel = &source->kernel, *bias = &source->bias;
  assert(kernel->rank == 2 || kernel->rank == 4);
  assert(is_float(kernel));
  assert(is_activations(device, &(struct tensor){.element = source->element}));
  assert(!source->doubling ||
         (kernel->rank == 4 && kernel->shape[2] == 3 && kernel->shape[3] == 3));
  assert(bias->data == NULL || (is_float(bias) && tensor_count(bias) == kernel->shape[0]));
  return done(device->backend->ops.pack(device, source, out));
}

void weight_close(struct weight **weight) {
  if (weight == NULL || *weight == NULL) {
    return;
  }
  (*weight)->device->backend->weight_close(*weight);
  *weight = NULL;
}

enum status weight_outline(struct device *device, const struct weight_source *source,
                           struct arena *host, struct weight **out) {
  struct weight *weight = arena_take(host, sizeof *weight);
  if (weight == NULL) {
    return EXHAUSTED;
  }
  *weight = weight_head(device, source);
  *out = weight;
  return OK;
}

int64_t weight_outputs(const struct weight *weight) { return weight->outputs; }
int64_t weight_inputs(const struct weight *weight) { return weight->inputs; }

/* ---- matrix products and convolutions ---- */

enum status op_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct matmul_options *options, const struct tensor *y) {
  static const struct matmul_options none;
  options = options != NULL ? options : &none;
  assert(x->rank == 2 || x->rank == 3);
  assert(is_activations(device, x) && goes_to(x, y));
  assert(w->device == device && w->kernel_height == 1 && w->kernel_width == 1);
  assert(w->element == x->element && !w->doubling);
  assert(columns_of(x) == w->inputs && columns_of(y) == w->outputs && same_rows(x, y));
  assert(options->activation < ACTIVATION_SOFT_CLAMP);
  assert(options->residual == NULL ||
         (tensor_same_shape(options->residual, y) && options->residual->element == y->element));
  return done(device->backend->ops.matmul(device, x, w, options, y));
}

enum status op_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y) {
  struct conv_options given = options != NULL ? *options : (struct conv_options){0};
  given.stride = given.stride == 0 ? 1 : given.stride;
  assert(x->rank == 4 && x->shape[3] == w->inputs && w->device == device);
  assert(is_activations(device, x) && goes_to(x, y));
  assert(w->element == x->element && !w->doubling);
  assert((given.stride == 1 || given.stride == 2) && given.pad_before >= 0 && given.pad_after >= 0);
  int64_t pads = given.pad_before + given.pad_after;
  int64_t height = (x->shape[1] + pads - w->kernel_height) / given.stride + 1;
  int64_t width = (x->shape[2] + pads - w->kernel_width) / given.stride + 1;
  assert(is_shape(y, 4, (int64_t[]){x->shape[0], height, width, w->outputs}));
  const struct tensor *add = given.channel_add, *residual = given.residual;
  assert(add == NULL || (goes_to(x, add) && add->rank == 2 && add->shape[0] == x->shape[0] &&
                         add->shape[1] == w->outputs));
  assert(residual == NULL || (tensor_same_shape(residual, y) && residual->element == y->element));
  assert(given.activation == ACTIVATION_NONE || given.activation == ACTIVATION_RELU);
  return done(device->backend->ops.conv2d(device, x, w, &given, y));
}

/* ---- norms ---- */

static bool is_norm_of(const struct norm *norm, int64_t channels) {
  return norm->gamma.element == ELEMENT_F32 && norm->beta.element == ELEMENT_F32 &&
         tensor_count(&norm->gamma) == channels && tensor_count(&norm->beta) == channels;
}

enum status op_group_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                          bool silu, const struct tensor *y) {
  assert(x->rank == 4 && tensor_same_shape(x, y));
  assert(is_activations(device, x) && x->element == y->element);
  assert(is_norm_of(norm, x->shape[3]));
  assert(norm->groups > 0 && x->shape[3] % norm->groups == 0);
  return done(device->backend->ops.group_norm(device, x, norm, silu, y));
}

enum status op_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                          const struct tensor *y) {
  assert(tensor_same_shape(x, y));
  assert(is_activations(device, x) && x->element == y->element);
  assert(is_norm_of(norm, columns_of(x)));
  return done(device->backend->ops.layer_norm(device, x, norm, y));
}

/* ---- attention ---- */

static bool has_columns(const struct tensor *y, const struct columns *slice) {
  const struct tensor *t = slice->tensor;
  return t->rank == 3 && t->element == y->element && t->shape[0] == y->shape[0] &&
         slice->first >= 0 && slice->first + y->shape[2] <= t->shape[2];
}

enum status op_attention(struct device *device, const struct attention *attention,
                         const struct tensor *y) {
  assert(y->rank == 3 && is_activations(device, y));
  assert(attention->heads > 0 && y->shape[2] % attention->heads == 0);
  assert(has_columns(y, &attention->q) && attention->q.tensor->shape[1] == y->shape[1]);
  if (attention->rows == NULL) {
    assert(has_columns(y, &attention->k) && has_columns(y, &attention->v));
    assert(attention->k.tensor->shape[1] == attention->v.tensor->shape[1]);
  } else {
    assert(y->shape[0] <= BATCH_ROWS_MAX && attention->column >= 0 && !attention->causal);
  }
  return done(device->backend->ops.attention(device, attention, y));
}

/* ---- pointwise and moving ---- */

enum status op_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && x->element == y->element);
  assert(same_rows(x, y) && columns_of(x) == 2 * columns_of(y));
  return done(device->backend->ops.geglu(device, x, y));
}

enum status op_concat(struct device *device, const struct tensor *a, const struct tensor *b,
                      const struct tensor *y) {
  assert(a->element == b->element && a->element == y->element && is_activations_or_f32(device, y));
  assert(same_rows(a, b) && same_rows(a, y) && columns_of(y) == columns_of(a) + columns_of(b));
  return done(device->backend->ops.concat(device, a, b, y));
}

enum status op_upsample(struct device *device, const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && x->element == y->element);
  assert(x->rank == 4 && y->rank == 4 && x->shape[0] == y->shape[0] && x->shape[3] == y->shape[3]);
  return done(device->backend->ops.upsample(device, x, y));
}

enum status op_upsample_conv(struct device *device, const struct tensor *x, const struct weight *w,
                             const struct tensor *y) {
  assert(x->rank == 4 && x->shape[3] == w->inputs && w->device == device);
  assert(is_activations(device, x) && x->element == y->element && w->element == x->element);
  assert(w->doubling);
  assert(is_shape(y, 4, (int64_t[]){x->shape[0], 2 * x->shape[1], 2 * x->shape[2], w->outputs}));
  return done(device->backend->ops.upsample_conv(device, x, w, y));
}

enum status op_timestep_embedding(struct device *device, const struct batch_row *rows,
                                  const struct tensor *y) {
  assert(is_activations_or_f32(device, y) && y->rank == 2 && y->shape[1] % 2 == 0);
  assert(y->shape[0] <= BATCH_ROWS_MAX);
  return done(device->backend->ops.timestep_embedding(device, rows, y));
}

static bool is_table_of(const struct tensor *table, const struct tensor *y) {
  return table->rank == 2 && table->element == y->element && table->shape[1] == columns_of(y);
}

enum status op_embed(struct device *device, const struct words *words, const struct tensor *ids,
                     const struct tensor *y) {
  struct words given = *words;
  given.extra = given.extra != NULL && given.extra->data != NULL ? given.extra : NULL;
  assert(is_activations(device, y) && y->rank == 3);
  assert(is_table_of(given.table, y) && is_table_of(given.positions, y));
  assert(given.extra == NULL || is_table_of(given.extra, y));
  assert(given.positions->shape[0] >= y->shape[1]);
  assert(ids->element == ELEMENT_I32 && ids->rank == 2 && ids->shape[0] == y->shape[0] &&
         ids->shape[1] == y->shape[1]);
  return done(device->backend->ops.embed(device, &given, ids, y));
}

enum status op_activate(struct device *device, enum activation activation, const struct tensor *x,
                        const struct tensor *y) {
  assert(activation < ACTIVATION_COUNT && tensor_same_shape(x, y));
  assert(is_activations_or_f32(device, x) && x->element == y->element);
  return done(device->backend->ops.activate(device, activation, x, y));
}

/* ---- what rows bring along ---- */

enum status op_adapt(struct device *device, const struct batch_row *rows, struct modules modules,
                     const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && goes_to(x, y) && (x->rank == 2 || x->rank == 3));
  assert(same_rows(x, y) && x->shape[0] <= BATCH_ROWS_MAX && columns_of(x) % 2 == 0);
  assert(modules.first >= 0 && modules.count > 0 && modules.count <= ADAPTED_TOGETHER_MAX);
  assert(columns_of(y) % modules.count == 0);
  return done(device->backend->ops.adapt(device, rows, modules, x, y));
}

enum status op_add_rows(struct device *device, const struct batch_row *rows, int64_t first,
                        const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && x->element == y->element);
  assert(x->rank == 2 && tensor_same_shape(x, y) && x->shape[0] <= BATCH_ROWS_MAX && first >= 0);
  return done(device->backend->ops.add_rows(device, rows, first, x, y));
}

enum status op_control_add(struct device *device, const struct batch_control *controls, int skip,
                           const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && x->element == y->element && tensor_same_shape(x, y));
  assert(skip >= 0 && skip < CONTROL_SKIPS_MAX && x->shape[0] <= BATCH_ROWS_MAX);
  return done(device->backend->ops.control_add(device, controls, skip, x, y));
}

enum status op_hint_add(struct device *device, const struct batch_control *controls,
                        const struct tensor *y) {
  assert(is_activations(device, y) && y->shape[0] <= BATCH_ROWS_MAX);
  return done(device->backend->ops.hint_add(device, controls, y));
}

enum status op_weigh(struct device *device, const struct tensor *weights, const struct tensor *x) {
  assert(is_activations_or_f32(device, x) && x->rank == 2 && weights->element == ELEMENT_F32);
  assert(tensor_count(weights) == x->shape[0]);
  return done(device->backend->ops.weigh(device, weights, x));
}

/* ---- latents ---- */

enum status op_gather(struct device *device, const struct batch_row *rows, int64_t channels,
                      const struct tensor *y) {
  assert(is_activations_or_f32(device, y) && y->rank == 4 && y->shape[0] <= BATCH_ROWS_MAX);
  assert(channels > 0 && channels <= y->shape[3]);
  return done(device->backend->ops.gather(device, rows, channels, y));
}

/* One 0 or 1 for each of `count`. */
static bool is_verdicts(const struct tensor *t, int64_t count) {
  return t->element == ELEMENT_I32 && t->rank == 1 && t->shape[0] == count;
}

enum status op_advance(struct device *device, const struct batch_sample *samples, int count,
                       const struct tensor *prediction, const struct tensor *finite) {
  assert(count <= BATCH_ROWS_MAX && is_verdicts(finite, count));
  assert(prediction->element == ELEMENT_F32 && prediction->rank == 4);
  return done(device->backend->ops.advance(device, samples, count, prediction, finite));
}

enum status op_posterior(struct device *device, const struct tensor *moments,
                         const struct tensor *noise, float scale, const struct tensor *y) {
  assert(is_activations_or_f32(device, moments) && y->element == ELEMENT_F32 && y->rank == 3);
  assert(is_shape(moments, 4, (int64_t[]){1, y->shape[0], y->shape[1], 2 * y->shape[2]}));
  assert(noise->data == NULL || (noise->element == ELEMENT_F32 && tensor_same_shape(noise, y)));
  return done(device->backend->ops.posterior(device, moments, noise, scale, y));
}

enum status op_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  assert(is_activations_or_f32(device, x) && y->element == ELEMENT_U8);
  assert(x->rank == 4 && x->shape[3] == 3 && tensor_same_shape(x, y));
  return done(device->backend->ops.pixels(device, x, y));
}

enum status op_finite(struct device *device, const struct tensor *x, const struct tensor *finite) {
  assert(is_float(x) && x->rank >= 2 && is_verdicts(finite, x->shape[0]));
  return done(device->backend->ops.finite(device, x, finite));
}
