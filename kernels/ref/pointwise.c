/* pointwise.c - what happens to each value by itself, and what only moves values. */
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double gelu(double x) { return 0.5 * x * (1 + erf(x * M_SQRT1_2)); }

float ref_activation(float x, enum activation activation) {
  switch (activation) {
    case ACTIVATION_SILU:
      return (float)(x * sigmoid(x));
    case ACTIVATION_GELU:
      return (float)gelu(x);
    case ACTIVATION_QUICK_GELU:
      return (float)(x * sigmoid(1.702 * x));
    case ACTIVATION_RELU:
      return x < 0 ? 0 : x;
    case ACTIVATION_SOFT_CLAMP:
      return (float)(3 * tanh(x / 3.0));
    case ACTIVATION_NONE:
      break;
  }
  return x;
}

enum status ref_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  (void)device;
  int64_t width = y->shape[y->rank - 1], rows = tensor_count(y) / width;
  for (int64_t m = 0; m < rows; m++) {
    const float *value = values(x) + m * 2 * width, *gate = value + width;
    for (int64_t i = 0; i < width; i++) {
      values(y)[m * width + i] = value[i] * (float)gelu(gate[i]);
    }
  }
  return OK;
}

enum status ref_concat(struct device *device, const struct tensor *a, const struct tensor *b,
                       const struct tensor *y) {
  (void)device;
  int64_t left = a->shape[a->rank - 1], right = b->shape[b->rank - 1],
          rows = tensor_count(a) / left;
  for (int64_t m = 0; m < rows; m++) {
    float *row = values(y) + m * (left + right);
    memcpy(row, values(a) + m * left, (size_t)left * sizeof *row);
    memcpy(row + left, values(b) + m * right, (size_t)right * sizeof *row);
  }
  return OK;
}

enum status ref_upsample(struct device *device, const struct tensor *x, const struct tensor *y) {
  (void)device;
  const int64_t *from = x->shape, *to = y->shape;
  for (int64_t b = 0; b < to[0]; b++) {
    for (int64_t i = 0; i < to[1]; i++) {
      for (int64_t j = 0; j < to[2]; j++) {
        int64_t source = (b * from[1] + i * from[1] / to[1]) * from[2] + j * from[2] / to[2];
        int64_t target = (b * to[1] + i) * to[2] + j;
        memcpy(values(y) + target * to[3], values(x) + source * to[3],
               (size_t)to[3] * sizeof(float));
      }
    }
  }
  return OK;
}

enum status ref_timestep_embedding(struct device *device, const struct batch_row *rows,
                                   const struct tensor *y) {
  (void)device;
  int64_t half = y->shape[1] / 2;
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < half; i++) {
      float frequency = expf(-logf(10000.0f) * (float)i / (float)half);
      values(y)[b * 2 * half + i] = cosf(rows[b].timestep * frequency);
      values(y)[b * 2 * half + half + i] = sinf(rows[b].timestep * frequency);
    }
  }
  return OK;
}

enum status ref_embed(struct device *device, const struct words *words, const struct tensor *ids,
                      const struct tensor *y) {
  (void)device;
  int64_t tokens = y->shape[1], width = y->shape[2], table = words->table->shape[0];
  for (int64_t m = 0; m < y->shape[0] * tokens; m++) {
    int64_t id = ((const int32_t *)ids->data)[m];
    const float *word = id < table ? values(words->table) + id * width
                                   : values(words->extra) + (id - table) * width;
    for (int64_t c = 0; c < width; c++) {
      values(y)[m * width + c] = word[c] + values(words->positions)[m % tokens * width + c];
    }
  }
  return OK;
}

enum status ref_activate(struct device *device, enum activation activation, const struct tensor *x,
                         const struct tensor *y) {
  (void)device;
  for (int64_t i = 0; i < tensor_count(x); i++) {
    values(y)[i] = ref_activation(values(x)[i], activation);
  }
  return OK;
}
