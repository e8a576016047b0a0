/* latents.c - the sampler's side: into the batch, on by one step, out as pixels, and a look at the
 * values. Latents are small and f32 everywhere, so gather, advance and measure serve the cpu row as
 * well: they take whatever type the batch has. */
#include <math.h>

#include "base/limits.h"
#include "kernels/ref/ref.h"

enum status ref_gather(struct device *device, const struct tensor *const *rows, const float *scales,
                       const struct tensor *y) {
  (void)device;
  int64_t count = tensor_count(y) / y->shape[0];
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < count; i++) {
      float value = scales[b] * values(rows[b])[i];
      elements_from_f32(y->element, &value, 1,
                        (char *)y->data + (b * count + i) * (int64_t)element_bytes(y->element));
    }
  }
  return OK;
}

/* Value i of the sample's U-Net output, guided if it has two rows. */
static float output_value(const struct advance *sample, const struct tensor *prediction,
                          int64_t count, int64_t i) {
  float cond = values(prediction)[sample->cond_row * count + i];
  if (sample->uncond_row < 0) {
    return cond;
  }
  float uncond = values(prediction)[sample->uncond_row * count + i];
  return uncond + sample->guidance * (cond - uncond);
}

static void advance_sample(const struct advance *sample, const struct tensor *prediction) {
  int64_t slots = sample->slots.shape[0], columns = slots + 2;
  int64_t count = tensor_count(&sample->slots) / slots;
  for (int64_t i = 0; i < count; i++) {
    float before[SAMPLE_SLOTS_MAX + 2];
    for (int64_t s = 0; s < slots; s++) {
      before[s] = values(&sample->slots)[s * count + i];
    }
    before[slots] = output_value(sample, prediction, count, i);
    before[slots + 1] = sample->noise != NULL ? values(sample->noise)[i] : 0;
    for (int64_t s = 0; s < slots; s++) {
      float sum = 0;
      for (int64_t c = 0; c < columns; c++) {
        sum += sample->matrix[s * columns + c] * before[c];
      }
      values(&sample->slots)[s * count + i] = sum;
    }
  }
}

enum status ref_advance(struct device *device, const struct advance *samples, int count,
                        const struct tensor *prediction) {
  (void)device;
  for (int i = 0; i < count; i++) {
    advance_sample(&samples[i], prediction);
  }
  return OK;
}

enum status ref_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  (void)device;
  uint8_t *pixels = y->data;
  for (int64_t i = 0; i < tensor_count(x); i++) {
    float unit = values(x)[i] / 2 + 0.5f;
    unit = unit > 0 ? unit : 0; /* NaN becomes 0 */
    unit = unit < 1 ? unit : 1;
    pixels[i] = (uint8_t)rintf(unit * 255); /* the default rounding mode is half to even */
  }
  return OK;
}

enum status ref_measure(struct device *device, const struct tensor *x, struct measure *out) {
  (void)device;
  struct measure measure = {true, INFINITY, -INFINITY};
  for (int64_t i = 0; i < tensor_count(x); i++) {
    float value;
    elements_to_f32(x->element, (const char *)x->data + i * (int64_t)element_bytes(x->element), 1,
                    &value);
    if (!isfinite(value)) {
      measure.finite = false;
      continue;
    }
    measure.min = fminf(measure.min, value);
    measure.max = fmaxf(measure.max, value);
  }
  *out = measure;
  return OK;
}
