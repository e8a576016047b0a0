/* loops.c - products, convolutions and attention the plain way. 16-bit values become f32 first, a
 * whole operand at a time: the loops are what the emulation spends its time in.
 */
#include "tests/emulation/loops.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *room(int64_t count) {
  float *values = malloc((size_t)count * sizeof *values);
  assert(values != NULL);
  return values;
}

/* NULL stays NULL. */
static float *widened(enum element element, const void *from, int64_t count) {
  if (from == NULL) {
    return NULL;
  }
  float *values = room(count);
  elements_to_f32(element, from, count, values);
  return values;
}

static float activated(enum activation activation, float x) {
  switch (activation) {
    case ACTIVATION_SILU:
      return x / (1.0f + expf(-x));
    case ACTIVATION_GELU:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case ACTIVATION_QUICK_GELU:
      return x / (1.0f + expf(-1.702f * x));
    case ACTIVATION_RELU:
      return x < 0 ? 0 : x;
    case ACTIVATION_SOFT_CLAMP: /* behind no product */
    case ACTIVATION_NONE:
      break;
  }
  return x;
}

/* Its operands are copies of ours, checked as they are made: here speed counts. */
__attribute__((no_sanitize("address", "undefined"), optimize("O3"))) static float dot(
    const float *a, const float *b, int64_t count) {
  float sum[8] = {0};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int k = 0; k < 8; k++) {
      sum[k] += a[i + k] * b[i + k];
    }
  }
  for (; i < count; i++) {
    sum[0] += a[i] * b[i];
  }
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

void run_product(const void *arguments) {
  struct product_work work;
  memcpy(&work, arguments, sizeof work);
  const struct product_problem *p = &work.problem;
  const struct product_run *r = &work.run;
  int64_t rows = r->images * p->rows;
  float *x = widened(p->element, r->x, rows * p->inputs);
  float *w = widened(p->element, r->w, p->outputs * p->inputs);
  float *residual = widened(p->y_element, r->residual, rows * p->outputs);
  float *y = room(rows * p->outputs);
  for (int64_t m = 0; m < rows; m++) {
    for (int64_t o = 0; o < p->outputs; o++) {
      float sum = dot(x + m * p->inputs, w + o * p->inputs, p->inputs);
      sum = activated(p->activation, sum + (r->bias != NULL ? r->bias[o] : 0.0f));
      y[m * p->outputs + o] = sum + (residual != NULL ? residual[m * p->outputs + o] : 0.0f);
    }
  }
  elements_from_f32(p->y_element, y, rows * p->outputs, r->y);
  free(x);
  free(w);
  free(residual);
  free(y);
}

/* ---- convolutions ---- */

/* All outputs of one pixel of one image. */
static void convolve_pixel(const struct convolution_problem *p, const float *image, const float *w,
                           int64_t place, float *sums) {
  int64_t row = place / p->out_width, column = place % p->out_width;
  int64_t taps = (int64_t)p->kernel_height * p->kernel_width;
  for (int64_t o = 0; o < p->outputs; o++) {
    sums[o] = 0;
  }
  for (int64_t tap = 0; tap < taps; tap++) {
    int64_t i = row * p->stride - p->pad_top + tap / p->kernel_width;
    int64_t j = column * p->stride - p->pad_left + tap % p->kernel_width;
    if (i < 0 || i >= p->height || j < 0 || j >= p->width) {
      continue;
    }
    const float *pixel = image + (i * p->width + j) * p->inputs;
    for (int64_t o = 0; o < p->outputs; o++) {
      sums[o] += dot(pixel, w + (o * taps + tap) * p->inputs, p->inputs);
    }
  }
}

/* What is added to the sums of one pixel; y is where it is written. */
struct added {
  const float *bias;
  const float *channel;
  const void *residual;
};
static void finish_pixel(const struct convolution_problem *p, const struct added *added,
                         float *sums, void *y) {
  float *residual = widened(p->y_element, added->residual, p->outputs);
  for (int64_t o = 0; o < p->outputs; o++) {
    sums[o] += (added->bias != NULL ? added->bias[o] : 0.0f) +
               (added->channel != NULL ? added->channel[o] : 0.0f) +
               (residual != NULL ? residual[o] : 0.0f);
  }
  elements_from_f32(p->y_element, sums, p->outputs, y);
  free(residual);
}

void run_convolution(const void *arguments) {
  struct convolution_work work;
  memcpy(&work, arguments, sizeof work);
  const struct convolution_problem *p = &work.problem;
  const struct convolution_run *r = &work.run;
  int64_t values = p->height * p->width * p->inputs, pixels = p->out_height * p->out_width;
  int64_t size = (int64_t)element_bytes(p->y_element);
  int64_t y_image = p->out_height * p->y_row;
  float *w = widened(p->element, r->w, p->outputs * p->kernel_height * p->kernel_width * p->inputs);
  float *channel = widened(p->element, r->channel_add, r->images * p->outputs);
  float *x = widened(p->element, r->x, r->images * values);
  float *sums = room(p->outputs);
  for (int64_t n = 0; n < r->images; n++) {
    for (int64_t place = 0; place < pixels; place++) {
      int64_t at =
          n * y_image + place / p->out_width * p->y_row + place % p->out_width * p->y_pixel;
      struct added added = {r->bias, channel != NULL ? channel + n * p->outputs : NULL,
                            r->residual != NULL ? (const char *)r->residual + at * size : NULL};
      convolve_pixel(p, x + n * values, w, place, sums);
      finish_pixel(p, &added, sums, (char *)r->y + at * size);
    }
  }
  free(w);
  free(channel);
  free(x);
  free(sums);
}

/* ---- attention ---- */

struct head {
  const void *q, *k, *v;
  void *y;
};

static void gather_head(enum element element, const void *from, int64_t step, int64_t tokens,
                        int depth, float *to) {
  for (int64_t t = 0; t < tokens; t++) {
    elements_to_f32(element, (const char *)from + t * step * (int64_t)element_bytes(element), depth,
                    to + t * depth);
  }
}

static void attend(const struct attention_problem *p, const struct head *head, float *scores,
                   float *work) {
  float *k = work, *v = k + p->keys * p->depth, *q = v + p->keys * p->depth, *y = q + p->depth;
  int64_t size = (int64_t)element_bytes(p->element);
  float scale = 1.0f / sqrtf((float)p->depth);
  gather_head(p->element, head->k, p->k_token, p->keys, p->depth, k);
  gather_head(p->element, head->v, p->v_token, p->keys, p->depth, v);
  for (int64_t t = 0; t < p->tokens; t++) {
    elements_to_f32(p->element, (const char *)head->q + t * p->q_token * size, p->depth, q);
    float largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < p->keys; j++) {
      scores[j] = dot(q, k + j * p->depth, p->depth) * scale;
      largest = fmaxf(largest, scores[j]);
    }
    memset(y, 0, (size_t)p->depth * sizeof *y);
    for (int64_t j = 0; j < p->keys; j++) {
      float weight = expf(scores[j] - largest);
      sum += weight;
      for (int d = 0; d < p->depth; d++) {
        y[d] += weight * v[j * p->depth + d];
      }
    }
    for (int d = 0; d < p->depth; d++) {
      y[d] /= sum;
    }
    elements_from_f32(p->element, y, p->depth, (char *)head->y + t * p->y_token * size);
  }
}

void run_attention(const void *arguments) {
  struct attention_work work;
  memcpy(&work, arguments, sizeof work);
  const struct attention_problem *p = &work.problem;
  const struct attention_run *r = &work.run;
  int64_t size = (int64_t)element_bytes(p->element);
  float *scores = room(p->keys), *space = room((2 * p->keys + 2) * p->depth);
  for (int64_t n = 0; n < r->images; n++) {
    for (int h = 0; h < p->heads; h++) {
      int64_t column = (int64_t)h * p->depth;
      struct head head = {(const char *)r->q + (n * p->q_image + column) * size,
                          (const char *)r->k + (n * p->k_image + column) * size,
                          (const char *)r->v + (n * p->v_image + column) * size,
                          (char *)r->y + (n * p->y_image + column) * size};
      attend(p, &head, scores, space);
    }
  }
  free(scores);
  free(space);
}
