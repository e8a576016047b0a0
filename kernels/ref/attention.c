/* attention.c - softmax(q k' / sqrt(d)) v, one query at a time, all its scores written out. */
#include <math.h>

#include "base/progress.h"
#include "kernels/ref/ref.h"

/* Keys and values of one batch row and head: key j at keys + j * step. */
struct memory {
  const float *keys, *values;
  int64_t length, key_step, value_step;
};

static struct memory find_memory(const struct attention *a, int64_t b, int64_t head,
                                 int64_t width) {
  int64_t d = width / a->heads;
  if (a->rows != NULL) {
    const struct batch_row *row = &a->rows[b];
    const float *keys = (const float *)row->context + row->tokens * a->column + head * d;
    return (struct memory){keys, keys + width, row->tokens, 2 * width, 2 * width};
  }
  const struct tensor *k = a->k.tensor, *v = a->v.tensor;
  return (struct memory){values(k) + b * k->shape[1] * k->shape[2] + a->k.first + head * d,
                         values(v) + b * v->shape[1] * v->shape[2] + a->v.first + head * d,
                         k->shape[1], k->shape[2], v->shape[2]};
}

/* scores[0..seen) become weights that sum to one. */
static void softmax(double *scores, int64_t seen) {
  double largest = scores[0], sum = 0;
  for (int64_t j = 1; j < seen; j++) {
    largest = fmax(largest, scores[j]);
  }
  for (int64_t j = 0; j < seen; j++) {
    scores[j] = exp(scores[j] - largest);
    sum += scores[j];
  }
  for (int64_t j = 0; j < seen; j++) {
    scores[j] /= sum;
  }
}

static void attend(const float *q, const struct memory *m, int64_t seen, int64_t d, double *scores,
                   float *y) {
  for (int64_t j = 0; j < seen; j++) {
    double dot = 0;
    for (int64_t c = 0; c < d; c++) {
      dot += (double)q[c] * m->keys[j * m->key_step + c];
    }
    scores[j] = dot / sqrt((double)d);
  }
  softmax(scores, seen);
  for (int64_t c = 0; c < d; c++) {
    double sum = 0;
    for (int64_t j = 0; j < seen; j++) {
      sum += scores[j] * m->values[j * m->value_step + c];
    }
    y[c] = (float)sum;
  }
}

enum status ref_attention(struct device *device, const struct attention *a,
                          const struct tensor *y) {
  int64_t tokens = y->shape[1], width = y->shape[2], d = width / a->heads;
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t head = 0; head < a->heads; head++) {
      struct memory memory = find_memory(a, b, head, width);
      size_t bytes = (size_t)memory.length * sizeof(double);
      double *scores = device_take(device, bytes);
      if (scores == NULL) {
        return EXHAUSTED;
      }
      for (int64_t i = 0; i < tokens; i++) {
        const struct tensor *t = a->q.tensor;
        const float *q = values(t) + (b * tokens + i) * t->shape[2] + a->q.first + head * d;
        int64_t seen = a->causal && i + 1 < memory.length ? i + 1 : memory.length;
        progress_count();
        attend(q, &memory, seen, d, scores, values(y) + (b * tokens + i) * width + head * d);
      }
      device_drop(device, scores, bytes);
    }
  }
  return OK;
}
