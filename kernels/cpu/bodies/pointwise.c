/* pointwise.c - each value by itself. Part of every level_*.c. */
#include "kernels/cpu/bodies.h"
#include "kernels/cpu/bodies/convert.h"
#include "kernels/cpu/bodies/functions.h"

/* Row m from column i on. */
INLINE void geglu_some(const struct rows *r, enum element e, int64_t m, int64_t i, int64_t some) {
  int64_t value = m * 2 * r->width + i;
  vec opened = gelu_of(load_some(r->x->data, e, value + r->width, some));
  store_some(r->y->data, e, m * r->width + i, load_some(r->x->data, e, value, some) * opened, some);
}

INLINE void geglu_as(const struct rows *r, enum element e, int64_t first, int64_t end) {
  int64_t whole = whole_vectors(r->width);
  for (int64_t m = first; m < end; m++) {
    for (int64_t i = 0; i < whole; i += LANES) {
      geglu_some(r, e, m, i, LANES);
    }
    if (whole < r->width) {
      geglu_some(r, e, m, whole, r->width - whole);
    }
  }
}

static void geglu(const void *arguments, int64_t first, int64_t end) {
  const struct rows *r = arguments;
  if (r->y->element == ELEMENT_BF16) {
    geglu_as(r, ELEMENT_BF16, first, end);
  } else {
    geglu_as(r, ELEMENT_F32, first, end);
  }
}

static void embed(const void *arguments, int64_t first, int64_t end) {
  const struct embed *e = arguments;
  int64_t tokens = e->y->shape[1], width = e->y->shape[2], table = e->words->table->shape[0];
  enum element element = e->y->element;
  for (int64_t m = first; m < end; m++) {
    bool is_extra = e->ids[m] >= table;
    const void *words = is_extra ? e->words->extra->data : e->words->table->data;
    int64_t word = (e->ids[m] - (is_extra ? table : 0)) * width, position = m % tokens * width;
    for (int64_t c = 0; c < width; c += LANES) {
      int64_t some = lanes_left(c, width);
      vec sum = load_some(words, element, word + c, some) +
                load_some(e->words->positions->data, element, position + c, some);
      store_some(e->y->data, element, m * width + c, sum, some);
    }
  }
}

static void activate(const void *arguments, int64_t first, int64_t end) {
  const struct activate *a = arguments;
  enum element element = a->y->element;
  for (int64_t i = first; i < end; i += LANES) {
    int64_t some = lanes_left(i, end);
    vec value = load_some(a->x->data, element, i, some);
    store_some(a->y->data, element, i, activation_of(value, a->activation), some);
  }
}

static void add_rows(const void *arguments, int64_t first, int64_t end) {
  const struct add_rows *a = arguments;
  enum element element = a->y->element;
  int64_t width = a->y->shape[1];
  for (int64_t b = first; b < end; b++) {
    for (int64_t i = 0; i < width; i += LANES) {
      int64_t some = lanes_left(i, width);
      vec sum = load_some(a->x->data, element, b * width + i, some);
      if (a->rows[b].added != NULL) {
        sum += load_some(a->rows[b].added, element, a->first + i, some);
      }
      store_some(a->y->data, element, b * width + i, swish_of(sum, 1), some);
    }
  }
}

INLINE void add_scaled_as(const struct scaled *s, enum element e, int64_t first, int64_t end) {
  for (int64_t item = first; item < end; item++) {
    int64_t b = item / s->pieces, from = item % s->pieces * s->piece;
    int64_t to = from + s->piece < s->each ? from + s->piece : s->each;
    for (int64_t i = from; i < to && s->x[b] != NULL; i += LANES) {
      int64_t some = lanes_left(i, to), at = b * s->each + i;
      vec value = load_some(s->x[b], e, i, some) * s->scale[b];
      store_some(s->y->data, e, at, load_some(s->y->data, e, at, some) + value, some);
    }
  }
}

static void add_scaled(const void *arguments, int64_t first, int64_t end) {
  const struct scaled *s = arguments;
  if (s->y->element == ELEMENT_BF16) {
    add_scaled_as(s, ELEMENT_BF16, first, end);
  } else {
    add_scaled_as(s, ELEMENT_F32, first, end);
  }
}

/* ---- what a convolution is added to: item = pixel ---- */

/* Of the pixel whose values start at `start` and whose image's channels start at `channels`. */
INLINE void prepare_some(const struct addends *a, int64_t start, int64_t channels, int64_t some) {
  vec sum = load_some(a->channels->data, a->channels->element, channels, some);
  if (a->residual != NULL) {
    sum += load_some(a->residual->data, a->residual->element, start, some);
  }
  store_some(a->y->data, a->y->element, start, sum, some);
}

INLINE void prepare_pixel(const struct addends *a, int64_t pixel) {
  int64_t outputs = a->y->shape[3], whole = whole_vectors(outputs), start = pixel * outputs;
  int64_t channels = pixel / (a->y->shape[1] * a->y->shape[2]) * outputs;
  for (int64_t o = 0; o < whole; o += LANES) {
    prepare_some(a, start + o, channels + o, LANES);
  }
  if (whole < outputs) {
    prepare_some(a, start + whole, channels + whole, outputs - whole);
  }
}

static void prepare(const void *arguments, int64_t first, int64_t end) {
  for (int64_t pixel = first; pixel < end; pixel++) {
    prepare_pixel(arguments, pixel);
  }
}

static void pixels(const void *arguments, int64_t first, int64_t end) {
  const struct flat *f = arguments;
  for (int64_t i = first; i < end; i += LANES) {
    int64_t some = lanes_left(i, end);
    vec unit = load_some(f->a->data, f->a->element, i, some) * 0.5f + 0.5f;
    unit = at_most(at_least(all(0), unit), all(1)) * 255.0f; /* in this order NaN becomes 0 */
    float whole[LANES];
    store_f32(whole, (unit + 12582912.0f) - 12582912.0f); /* 1.5 * 2^23: rounds half to even */
    for (int64_t j = 0; j < some; j++) {
      ((uint8_t *)f->y->data)[i + j] = (uint8_t)whole[j];
    }
  }
}
