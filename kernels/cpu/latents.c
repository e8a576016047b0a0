/* latents.c - the sampler's side. Latents are small: plain loops on one thread; a decoded picture is not. */
#include <math.h>

#include "base/limits.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum status cpu_gather(struct device *device, const struct tensor *const *rows, const float *scales,
                       const struct tensor *y) {
  (void)device;
  int64_t count = tensor_count(y) / y->shape[0];
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < count; i += LANES) {
      int64_t some = lanes_left(i, count);
      v16 value = load_some(rows[b]->data, ELEMENT_F32, i, some) * scales[b];
      store_some(y->data, y->element, b * count + i, value, some);
    }
  }
  return OK;
}

/* out[LANES] of the sample's U-Net output from value i on, guided if it has two rows. */
INLINE v16 output_values(const struct advance *sample, const struct tensor *prediction, int64_t count, int64_t i,
                         int64_t some) {
  v16 cond = load_some(prediction->data, ELEMENT_F32, sample->cond_row * count + i, some);
  if (sample->uncond_row < 0) {
    return cond;
  }
  v16 uncond = load_some(prediction->data, ELEMENT_F32, sample->uncond_row * count + i, some);
  return uncond + sample->guidance * (cond - uncond);
}

static void advance_sample(const struct advance *sample, const struct tensor *prediction) {
  int64_t slots = sample->slots.shape[0], columns = slots + 2;
  int64_t count = tensor_count(&sample->slots) / slots;
  for (int64_t i = 0; i < count; i += LANES) {
    int64_t some = lanes_left(i, count);
    v16 before[SAMPLE_SLOTS_MAX + 2];
    for (int64_t s = 0; s < slots; s++) {
      before[s] = load_some(sample->slots.data, ELEMENT_F32, s * count + i, some);
    }
    before[slots] = output_values(sample, prediction, count, i, some);
    before[slots + 1] = sample->noise != NULL ? load_some(sample->noise->data, ELEMENT_F32, i, some) : all(0);
    for (int64_t s = 0; s < slots; s++) {
      v16 sum = all(0);
      for (int64_t c = 0; c < columns; c++) {
        sum += sample->matrix[s * columns + c] * before[c];
      }
      store_some(sample->slots.data, ELEMENT_F32, s * count + i, sum, some);
    }
  }
}

enum status cpu_advance(struct device *device, const struct advance *samples, int count,
                        const struct tensor *prediction) {
  (void)device;
  for (int i = 0; i < count; i++) {
    advance_sample(&samples[i], prediction);
  }
  return OK;
}

/* Items are vectors of LANES values. */
struct flat {
  const struct tensor *x, *y;
  int64_t count;
};

INLINE void pixels(const void *arguments, int64_t first, int64_t end) {
  const struct flat *f = arguments;
  for (int64_t i = first * LANES; i < end * LANES && i < f->count; i += LANES) {
    int64_t some = lanes_left(i, f->count);
    v16 unit = load_some(f->x->data, f->x->element, i, some) * 0.5f + 0.5f;
    unit = at_most(at_least(all(0), unit), all(1)) * 255.0f; /* in this order NaN becomes 0 */
    float whole[LANES];
    store_f32(whole, (unit + 12582912.0f) - 12582912.0f); /* 1.5 * 2^23: rounds half to even */
    for (int64_t j = 0; j < some; j++) {
      ((uint8_t *)f->y->data)[i + j] = (uint8_t)whole[j];
    }
  }
}
KERNEL(pixels)

enum status cpu_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  const struct flat flat = {x, y, tensor_count(x)};
  cpu_parallel(cpu_of(device), &pixels_kernel, &flat, (flat.count + LANES - 1) / LANES, 1024);
  return OK;
}

enum status cpu_measure(struct device *device, const struct tensor *x, struct measure *out) {
  (void)device;
  struct measure measure = {true, INFINITY, -INFINITY};
  int64_t count = tensor_count(x);
  size_t size = element_bytes(x->element);
  for (int64_t i = 0; i < count; i += LANES) {
    float values[LANES];
    int64_t some = lanes_left(i, count);
    elements_to_f32(x->element, (const char *)x->data + (size_t)i * size, some, values);
    for (int64_t j = 0; j < some; j++) {
      bool finite = isfinite(values[j]);
      measure.finite = measure.finite && finite;
      measure.min = finite && values[j] < measure.min ? values[j] : measure.min;
      measure.max = finite && values[j] > measure.max ? values[j] : measure.max;
    }
  }
  *out = measure;
  return OK;
}
