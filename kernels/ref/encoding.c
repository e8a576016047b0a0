/* encoding.c - behind the encoders of words and pictures: emphasis, and a sample of a picture's
 * latents. Small, once a job, so they serve the cpu row as well: they take any type. */
#include <math.h>

#include "kernels/ref/ref.h"

static float value_at(const struct tensor *t, int64_t i) {
  float value;
  elements_to_f32(t->element, (const char *)t->data + i * (int64_t)element_bytes(t->element), 1,
                  &value);
  return value;
}

enum status ref_weigh(struct device *device, const struct tensor *weights, const struct tensor *x) {
  (void)device;
  double before = 0, after = 0;
  int64_t width = x->shape[1];
  for (int64_t i = 0; i < tensor_count(x); i++) {
    before += value_at(x, i);
    after += (double)value_at(x, i) * values(weights)[i / width];
  }
  float share = after != 0 ? (float)(before / after) : 1;
  for (int64_t i = 0; i < tensor_count(x); i++) {
    float value = value_at(x, i) * values(weights)[i / width] * share;
    elements_from_f32(x->element, &value, 1,
                      (char *)x->data + i * (int64_t)element_bytes(x->element));
  }
  return OK;
}

enum status ref_posterior(struct device *device, const struct tensor *moments,
                          const struct tensor *noise, float scale, const struct tensor *y) {
  (void)device;
  int64_t channels = y->shape[2];
  for (int64_t i = 0; i < tensor_count(y); i++) {
    int64_t mean = i / channels * 2 * channels + i % channels;
    float sample = value_at(moments, mean);
    if (noise->data != NULL) {
      float v = value_at(moments, mean + channels);
      v = v < -30 ? -30 : v > 20 ? 20 : v; /* NaN stays NaN */
      sample += expf(v / 2) * values(noise)[i];
    }
    values(y)[i] = sample * scale;
  }
  return OK;
}
