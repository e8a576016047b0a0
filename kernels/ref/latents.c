/* latents.c - the sampler's side: into the batch, on by one step, out as pixels, and a look at the
 * values. Latents are small and f32 everywhere, so gather, advance and finite serve the cpu row as
 * well: they take whatever type the batch has. */
#include <math.h>

#include "base/limits.h"
#include "kernels/ref/ref.h"

enum status ref_gather(struct device *device, const struct batch_row *rows,
                       const struct tensor *y) {
  (void)device;
  int64_t count = tensor_count(y) / y->shape[0];
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < count; i++) {
      float value = rows[b].scale * rows[b].latents[i];
      elements_from_f32(y->element, &value, 1,
                        (char *)y->data + (b * count + i) * (int64_t)element_bytes(y->element));
    }
  }
  return OK;
}

/* Value i of the sample's U-Net output, guided if it has two rows. */
static float output_value(const struct batch_sample *sample, const float *prediction, int64_t count,
                          int64_t i) {
  float cond = prediction[sample->cond_row * count + i];
  if (sample->uncond_row < 0) {
    return cond;
  }
  float uncond = prediction[sample->uncond_row * count + i];
  return uncond + sample->guidance * (cond - uncond);
}

/* Whether all that it wrote is finite. */
static bool advance_sample(const struct batch_sample *sample, const float *prediction,
                           int64_t count) {
  int64_t slots = sample->slot_count, columns = slots + 2;
  bool finite = true;
  for (int64_t i = 0; i < count; i++) {
    float before[SAMPLE_SLOTS_MAX + 2];
    for (int64_t s = 0; s < slots; s++) {
      before[s] = sample->slots[s * count + i];
    }
    before[slots] = output_value(sample, prediction, count, i);
    before[slots + 1] = sample->noise != NULL ? sample->noise[i] : 0;
    for (int64_t s = 0; s < slots; s++) {
      float sum = 0;
      for (int64_t c = 0; c < columns; c++) {
        sum += sample->matrix[s * columns + c] * before[c];
      }
      sample->slots[s * count + i] = sum;
      finite = finite && isfinite(sum);
    }
  }
  return finite;
}

enum status ref_advance(struct device *device, const struct batch_sample *samples, int count,
                        const struct tensor *prediction, const struct tensor *finite) {
  (void)device;
  int64_t values_each = tensor_count(prediction) / prediction->shape[0];
  int32_t *verdicts = finite->data;
  for (int i = 0; i < count; i++) {
    verdicts[i] =
        samples[i].slots == NULL || advance_sample(&samples[i], values(prediction), values_each);
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

static bool is_finite(enum element element, const char *data, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float value;
    elements_to_f32(element, data + i * (int64_t)element_bytes(element), 1, &value);
    if (!isfinite(value)) {
      return false;
    }
  }
  return true;
}

enum status ref_finite(struct device *device, const struct tensor *x, const struct tensor *finite) {
  (void)device;
  int64_t each = tensor_count(x) / x->shape[0];
  int32_t *verdicts = finite->data;
  for (int64_t b = 0; b < x->shape[0]; b++) {
    verdicts[b] = is_finite(
        x->element, (const char *)x->data + b * each * (int64_t)element_bytes(x->element), each);
  }
  return OK;
}
