/* matmul.c - weights, matrix products and convolutions as plain loops: the definition. */
#include <string.h>

#include "base/progress.h"
#include "kernels/ref/ref.h"

/* [O, I, kh, kw] -> [kh, kw, I, O] */
static void transpose_kernel(const struct weight *w, const float *from, float *to) {
  int64_t window = w->kernel_height * w->kernel_width;
  for (int64_t o = 0; o < w->outputs; o++) {
    for (int64_t i = 0; i < w->inputs; i++) {
      for (int64_t k = 0; k < window; k++) {
        to[(k * w->inputs + i) * w->outputs + o] = from[(o * w->inputs + i) * window + k];
      }
    }
  }
}

enum status ref_pack(struct device *device, const struct weight_source *source,
                     struct weight **out) {
  int64_t count = tensor_count(&source->kernel), outputs = source->kernel.shape[0];
  size_t bytes = sizeof(struct ref_weight) + (size_t)(count + outputs) * sizeof(float);
  struct ref_weight *weight = device_take(device, bytes);
  float *unpacked = device_take(device, (size_t)count * sizeof(float));
  if (weight == NULL || unpacked == NULL) {
    device_drop(device, weight, bytes);
    return EXHAUSTED;
  }
  weight->head = weight_head(device, source);
  weight->bytes = bytes;
  weight->bias = source->bias.data != NULL ? weight->kernel + count : NULL;
  elements_to_f32(source->kernel.element, source->kernel.data, count, unpacked);
  transpose_kernel(&weight->head, unpacked, weight->kernel);
  if (weight->bias != NULL) {
    elements_to_f32(source->bias.element, source->bias.data, outputs, weight->bias);
  }
  device_drop(device, unpacked, (size_t)count * sizeof(float));
  *out = &weight->head;
  return OK;
}

void ref_weight_close(struct weight *weight) {
  device_drop(weight->device, weight, ((struct ref_weight *)weight)->bytes);
}

/* sums[O] += x[I] times one tap of the kernel, [I, O]. */
static void add_products(const float *restrict x, const float *restrict tap, const struct weight *w,
                         float *restrict sums) {
  for (int64_t i = 0; i < w->inputs; i++) {
    for (int64_t o = 0; o < w->outputs; o++) {
      sums[o] += x[i] * tap[i * w->outputs + o];
    }
  }
}

static void start_sums(const struct ref_weight *weight, float *sums) {
  size_t bytes = (size_t)weight->head.outputs * sizeof *sums;
  if (weight->bias != NULL) {
    memcpy(sums, weight->bias, bytes);
  } else {
    memset(sums, 0, bytes);
  }
}

enum status ref_matmul(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct matmul_options *options, const struct tensor *y) {
  const struct ref_weight *weight = (const struct ref_weight *)w;
  size_t bytes = (size_t)w->outputs * sizeof(float);
  float *sums = device_take(device, bytes); /* apart from y, which may be the residual */
  if (sums == NULL) {
    return EXHAUSTED;
  }
  int64_t rows = tensor_count(y) / w->outputs;
  for (int64_t m = 0; m < rows; m++) {
    progress_count();
    start_sums(weight, sums);
    add_products(values(x) + m * w->inputs, weight->kernel, w, sums);
    for (int64_t o = 0; o < w->outputs; o++) {
      float residual =
          options->residual != NULL ? values(options->residual)[m * w->outputs + o] : 0;
      values(y)[m * w->outputs + o] = ref_activation(sums[o], options->activation) + residual;
    }
  }
  device_drop(device, sums, bytes);
  return OK;
}

/* The sum over the window for output pixel (i, j) of image b. */
static void sum_window(const struct tensor *x, const struct ref_weight *weight,
                       const struct conv_options *options, const int64_t at[3], float *sums) {
  const struct weight *w = &weight->head;
  start_sums(weight, sums);
  for (int64_t ki = 0; ki < w->kernel_height; ki++) {
    for (int64_t kj = 0; kj < w->kernel_width; kj++) {
      int64_t i = at[1] * options->stride + ki - options->pad_before;
      int64_t j = at[2] * options->stride + kj - options->pad_before;
      if (i < 0 || i >= x->shape[1] || j < 0 || j >= x->shape[2]) {
        continue; /* padding is zero */
      }
      const float *pixel = values(x) + ((at[0] * x->shape[1] + i) * x->shape[2] + j) * w->inputs;
      add_products(pixel, weight->kernel + (ki * w->kernel_width + kj) * w->inputs * w->outputs, w,
                   sums);
    }
  }
}

static void store_pixel(const struct conv_options *options, const struct tensor *y,
                        const int64_t at[3], const float *sums) {
  int64_t outputs = y->shape[3];
  int64_t start = ((at[0] * y->shape[1] + at[1]) * y->shape[2] + at[2]) * outputs;
  for (int64_t o = 0; o < outputs; o++) {
    float added =
        options->channel_add != NULL ? values(options->channel_add)[at[0] * outputs + o] : 0;
    float residual = options->residual != NULL ? values(options->residual)[start + o] : 0;
    values(y)[start + o] = ref_activation(sums[o] + added + residual, options->activation);
  }
}

enum status ref_conv2d(struct device *device, const struct tensor *x, const struct weight *w,
                       const struct conv_options *options, const struct tensor *y) {
  const struct ref_weight *weight = (const struct ref_weight *)w;
  size_t bytes = (size_t)w->outputs * sizeof(float);
  float *sums = device_take(device, bytes);
  if (sums == NULL) {
    return EXHAUSTED;
  }
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < y->shape[1]; i++) {
      for (int64_t j = 0; j < y->shape[2]; j++) {
        const int64_t at[3] = {b, i, j};
        sum_window(x, weight, options, at, sums);
        store_pixel(options, y, at, sums);
        progress_count();
      }
    }
  }
  device_drop(device, sums, bytes);
  return OK;
}

/* ---- a convolution of a picture of twice the sides, which is nowhere written out ---- */

static void sum_doubled_window(const struct tensor *x, const struct ref_weight *weight,
                               const int64_t at[3], float *sums) {
  const struct weight *w = &weight->head;
  start_sums(weight, sums);
  for (int64_t ki = 0; ki < 3; ki++) {
    for (int64_t kj = 0; kj < 3; kj++) {
      int64_t i = at[1] + ki - 1, j = at[2] + kj - 1;
      if (i < 0 || i >= 2 * x->shape[1] || j < 0 || j >= 2 * x->shape[2]) {
        continue;
      }
      const float *pixel =
          values(x) + ((at[0] * x->shape[1] + i / 2) * x->shape[2] + j / 2) * w->inputs;
      add_products(pixel, weight->kernel + (ki * 3 + kj) * w->inputs * w->outputs, w, sums);
    }
  }
}

enum status ref_upsample_conv(struct device *device, const struct tensor *x, const struct weight *w,
                              const struct tensor *y) {
  (void)device;
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < y->shape[1]; i++) {
      for (int64_t j = 0; j < y->shape[2]; j++) {
        const int64_t at[3] = {b, i, j};
        float *pixel = values(y) + ((b * y->shape[1] + i) * y->shape[2] + j) * w->outputs;
        sum_doubled_window(x, (const struct ref_weight *)w, at, pixel);
        progress_count();
      }
    }
  }
  return OK;
}
