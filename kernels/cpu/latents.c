/* latents.c - the sampler's side. Latents are small: plain loops on one thread; a decoded picture
 * is not. */
#include <math.h>

#include "base/limits.h"
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/cpu.h"

enum status cpu_gather(struct device *device, const struct tensor *const *rows, const float *scales,
                       const struct tensor *y) {
  (void)device;
  int64_t count = tensor_count(y) / y->shape[0];
  for (int64_t b = 0; b < y->shape[0]; b++) {
    const float *row = rows[b]->data;
    for (int64_t i = 0; i < count; i++) {
      float value = scales[b] * row[i];
      elements_from_f32(y->element, &value, 1,
                        (char *)y->data + (b * count + i) * (int64_t)element_bytes(y->element));
    }
  }
  return OK;
}

/* Value i of the sample's U-Net output, guided if it has two rows. */
static float output_value(const struct advance *sample, const struct tensor *prediction,
                          int64_t count, int64_t i) {
  const float *rows = prediction->data;
  float cond = rows[sample->cond_row * count + i];
  if (sample->uncond_row < 0) {
    return cond;
  }
  float uncond = rows[sample->uncond_row * count + i];
  return uncond + sample->guidance * (cond - uncond);
}

static void advance_sample(const struct advance *sample, const struct tensor *prediction) {
  int64_t slots = sample->slots.shape[0], columns = slots + 2;
  int64_t count = tensor_count(&sample->slots) / slots;
  float *values = sample->slots.data;
  for (int64_t i = 0; i < count; i++) {
    float before[SAMPLE_SLOTS_MAX + 2];
    for (int64_t s = 0; s < slots; s++) {
      before[s] = values[s * count + i];
    }
    before[slots] = output_value(sample, prediction, count, i);
    before[slots + 1] = sample->noise != NULL ? ((const float *)sample->noise->data)[i] : 0;
    for (int64_t s = 0; s < slots; s++) {
      float sum = 0;
      for (int64_t c = 0; c < columns; c++) {
        sum += sample->matrix[s * columns + c] * before[c];
      }
      values[s * count + i] = sum;
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

enum status cpu_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct flat flat = {.a = x, .y = y};
  cpu_parallel(cpu, cpu->bodies->pixels, &flat, tensor_count(x), 16384);
  return OK;
}

enum { MEASURED = 64 }; /* values converted at a time */

enum status cpu_measure(struct device *device, const struct tensor *x, struct measure *out) {
  (void)device;
  struct measure measure = {true, INFINITY, -INFINITY};
  int64_t count = tensor_count(x);
  size_t size = element_bytes(x->element);
  for (int64_t i = 0; i < count; i += MEASURED) {
    float values[MEASURED];
    int64_t some = count - i < MEASURED ? count - i : MEASURED;
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
