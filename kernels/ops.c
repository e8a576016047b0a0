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
  return t->element == device->element;
}

static bool is_activations_or_f32(const struct device *device, const struct tensor *t) {
  return t->element == device->element || t->element == ELEMENT_F32;
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

int64_t weight_outputs(const struct weight *weight) { return weight->outputs; }
int64_t weight_inputs(const struct weight *weight) { return weight->inputs; }

/* ---- matrix products and convolutions ---- */

enum status op_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct matmul_options *options, const struct tensor *y) {
  static const struct matmul_options none;
  options = options != NULL ? options : &none;
  assert(x->rank == 2 || x->rank == 3);
  assert(is_activations(device, x) && is_activations_or_f32(device, y));
  assert(w->device == device && w->kernel_height == 1 && w->kernel_width == 1);
  assert(columns_of(x) == w->inputs && columns_of(y) == w->outputs && same_rows(x, y));
  assert(options->activation < ACTIVATION_COUNT);
  assert(options->residual == NULL ||
         (tensor_same_shape(options->residual, y) && options->residual->element == y->element));
  return done(device->backend->ops.matmul(device, x, w, options, y));
}

enum status op_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                      const struct conv_options *options, const struct tensor *y) {
  struct conv_options given = options != NULL ? *options : (struct conv_options){0};
  given.stride = given.stride == 0 ? 1 : given.stride;
  assert(x->rank == 4 && x->shape[3] == w->inputs && w->device == device);
  assert(is_activations(device, x) && is_activations_or_f32(device, y));
  assert((given.stride == 1 || given.stride == 2) && given.pad_before >= 0 && given.pad_after >= 0);
  int64_t pads = given.pad_before + given.pad_after;
  int64_t height = (x->shape[1] + pads - w->kernel_height) / given.stride + 1;
  int64_t width = (x->shape[2] + pads - w->kernel_width) / given.stride + 1;
  assert(is_shape(y, 4, (int64_t[]){x->shape[0], height, width, w->outputs}));
  const struct tensor *add = given.channel_add, *residual = given.residual;
  assert(add == NULL || (is_activations_or_f32(device, add) && add->rank == 2 &&
                         add->shape[0] == x->shape[0] && add->shape[1] == w->outputs));
  assert(residual == NULL || (tensor_same_shape(residual, y) && residual->element == y->element));
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
  assert(is_activations(device, x) && is_activations(device, y));
  assert(is_norm_of(norm, x->shape[3]));
  assert(norm->groups > 0 && x->shape[3] % norm->groups == 0);
  return done(device->backend->ops.group_norm(device, x, norm, silu, y));
}

enum status op_layer_norm(struct device *device, const struct tensor *x, const struct norm *norm,
                          const struct tensor *y) {
  assert(tensor_same_shape(x, y));
  assert(is_activations(device, x) && is_activations(device, y));
  assert(is_norm_of(norm, columns_of(x)));
  return done(device->backend->ops.layer_norm(device, x, norm, y));
}

/* ---- attention ---- */

static bool has_columns(const struct device *device, const struct columns *slice, int64_t batch,
                        int64_t width) {
  const struct tensor *t = slice->tensor;
  return t->rank == 3 && is_activations(device, t) && t->shape[0] == batch && slice->first >= 0 &&
         slice->first + width <= t->shape[2];
}

enum status op_attention(struct device *device, const struct attention *attention,
                         const struct tensor *y) {
  assert(y->rank == 3 && is_activations(device, y));
  int64_t batch = y->shape[0], width = y->shape[2];
  assert(attention->heads > 0 && width % attention->heads == 0);
  assert(has_columns(device, &attention->q, batch, width) &&
         attention->q.tensor->shape[1] == y->shape[1]);
  if (attention->context == NULL) {
    assert(has_columns(device, &attention->k, batch, width) &&
           has_columns(device, &attention->v, batch, width));
    assert(attention->k.tensor->shape[1] == attention->v.tensor->shape[1]);
  } else {
    for (int64_t b = 0; b < batch; b++) {
      const struct tensor *context = attention->context[b];
      assert(context->rank == 2 && is_activations(device, context) &&
             context->shape[1] == 2 * width);
    }
    assert(!attention->causal);
  }
  return done(device->backend->ops.attention(device, attention, y));
}

/* ---- pointwise and moving ---- */

enum status op_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  assert(is_activations(device, x) && is_activations(device, y));
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
  assert(is_activations(device, x) && is_activations(device, y));
  assert(x->rank == 4 && y->rank == 4 && x->shape[0] == y->shape[0] && x->shape[3] == y->shape[3]);
  return done(device->backend->ops.upsample(device, x, y));
}

enum status op_timestep_embedding(struct device *device, const float *timesteps,
                                  const struct tensor *y) {
  assert(is_activations_or_f32(device, y) && y->rank == 2 && y->shape[1] % 2 == 0);
  return done(device->backend->ops.timestep_embedding(device, timesteps, y));
}

enum status op_embed(struct device *device, const struct tensor *table,
                     const struct tensor *positions, const int32_t *ids, const struct tensor *y) {
  assert(is_activations(device, table) && is_activations(device, positions) &&
         is_activations(device, y));
  assert(table->rank == 2 && positions->rank == 2 && y->rank == 3);
  assert(table->shape[1] == y->shape[2] && positions->shape[1] == y->shape[2] &&
         positions->shape[0] >= y->shape[1]);
  for (int64_t i = 0; i < y->shape[0] * y->shape[1]; i++) {
    assert(ids[i] >= 0 && ids[i] < table->shape[0]);
  }
  return done(device->backend->ops.embed(device, table, positions, ids, y));
}

/* ---- latents ---- */

enum status op_gather(struct device *device, const struct tensor *const *rows, const float *scales,
                      const struct tensor *y) {
  assert(is_activations_or_f32(device, y) && y->rank == 4);
  for (int64_t b = 0; b < y->shape[0]; b++) {
    assert(rows[b]->element == ELEMENT_F32 && is_shape(rows[b], 3, y->shape + 1));
  }
  return done(device->backend->ops.gather(device, rows, scales, y));
}

enum status op_advance(struct device *device, const struct advance *samples, int count,
                       const struct tensor *prediction) {
  assert(prediction->element == ELEMENT_F32 && prediction->rank == 4);
  const int64_t *image = prediction->shape + 1;
  for (int i = 0; i < count; i++) {
    const struct advance *sample = &samples[i];
    assert(sample->slots.element == ELEMENT_F32);
    assert(is_shape(&sample->slots, 4,
                    (int64_t[]){sample->slots.shape[0], image[0], image[1], image[2]}));
    assert(sample->slots.shape[0] <= SAMPLE_SLOTS_MAX);
    assert(sample->cond_row >= 0 && sample->cond_row < prediction->shape[0]);
    assert(sample->uncond_row >= -1 && sample->uncond_row < prediction->shape[0]);
    assert(sample->noise == NULL ||
           (sample->noise->element == ELEMENT_F32 && is_shape(sample->noise, 3, image)));
  }
  return done(device->backend->ops.advance(device, samples, count, prediction));
}

enum status op_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  assert(is_activations_or_f32(device, x) && y->element == ELEMENT_U8);
  assert(x->rank == 4 && x->shape[3] == 3 && tensor_same_shape(x, y));
  return done(device->backend->ops.pixels(device, x, y));
}

enum status op_measure(struct device *device, const struct tensor *x, struct measure *out) {
  assert(is_float(x));
  return done(device->backend->ops.measure(device, x, out));
}
