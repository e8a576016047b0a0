/* pointwise.c - each value by itself, and what only moves values: as fast as memory goes. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector.h"

enum { GRAIN_VALUES = 16384 }; /* below this a second thread costs more than it brings */

/* Items are vectors of LANES over flat memory of `count` values. */
struct flat {
  const struct tensor *a, *b, *y;
  enum activation activation;
  int64_t count;
};

INLINE v16 activation_of(v16 x, enum activation activation) {
  switch (activation) {
    case ACTIVATION_SILU: return x * sigmoid_of(x);
    case ACTIVATION_GELU: return gelu_of(x);
    case ACTIVATION_QUICK_GELU: return x * sigmoid_of(1.702f * x);
    case ACTIVATION_NONE: break;
  }
  return x;
}

INLINE void activate_some(const struct flat *f, enum element e, enum activation activation, int64_t i, int64_t some) {
  store_some(f->y->data, e, i, activation_of(load_some(f->a->data, e, i, some), activation), some);
}

INLINE void activate_run(const struct flat *f, enum element e, enum activation activation, int64_t first, int64_t end) {
  int64_t last = end * LANES < f->count ? end * LANES : f->count, i = first * LANES;
  for (; i + LANES <= last; i += LANES) {
    activate_some(f, e, activation, i, LANES);
  }
  if (i < last) {
    activate_some(f, e, activation, i, last - i);
  }
}

INLINE void activate_as(const struct flat *f, enum element e, int64_t first, int64_t end) {
  switch (f->activation) {
    case ACTIVATION_SILU: activate_run(f, e, ACTIVATION_SILU, first, end); break;
    case ACTIVATION_GELU: activate_run(f, e, ACTIVATION_GELU, first, end); break;
    case ACTIVATION_QUICK_GELU: activate_run(f, e, ACTIVATION_QUICK_GELU, first, end); break;
    case ACTIVATION_NONE: activate_run(f, e, ACTIVATION_NONE, first, end); break;
  }
}

INLINE void activate(const void *arguments, int64_t first, int64_t end) {
  const struct flat *f = arguments;
  if (f->y->element == ELEMENT_BF16) {
    activate_as(f, ELEMENT_BF16, first, end);
  } else {
    activate_as(f, ELEMENT_F32, first, end);
  }
}
KERNEL(activate)

INLINE void add_some(const struct flat *f, enum element e, int64_t i, int64_t some) {
  store_some(f->y->data, e, i, load_some(f->a->data, e, i, some) + load_some(f->b->data, e, i, some), some);
}

INLINE void add_as(const struct flat *f, enum element e, int64_t first, int64_t end) {
  int64_t last = end * LANES < f->count ? end * LANES : f->count, i = first * LANES;
  for (; i + LANES <= last; i += LANES) {
    add_some(f, e, i, LANES);
  }
  if (i < last) {
    add_some(f, e, i, last - i);
  }
}

INLINE void add(const void *arguments, int64_t first, int64_t end) {
  const struct flat *f = arguments;
  if (f->y->element == ELEMENT_BF16) {
    add_as(f, ELEMENT_BF16, first, end);
  } else {
    add_as(f, ELEMENT_F32, first, end);
  }
}
KERNEL(add)

static void run_flat(struct cpu *cpu, const struct kernel *kernel, struct flat flat) {
  flat.count = tensor_count(flat.y);
  cpu_parallel(cpu, kernel, &flat, (flat.count + LANES - 1) / LANES, GRAIN_VALUES / LANES);
}

enum status cpu_activate(struct device *device, const struct tensor *x, enum activation activation,
                         const struct tensor *y) {
  run_flat(cpu_of(device), &activate_kernel, (struct flat){.a = x, .y = y, .activation = activation});
  return OK;
}

enum status cpu_add(struct device *device, const struct tensor *a, const struct tensor *b, const struct tensor *y) {
  run_flat(cpu_of(device), &add_kernel, (struct flat){.a = a, .b = b, .y = y});
  return OK;
}

/* Items are rows. */
struct rows {
  const struct tensor *x, *y;
  int64_t width; /* of y */
};

/* Row m from column i on. */
INLINE void geglu_some(const struct rows *r, enum element e, int64_t m, int64_t i, int64_t some) {
  int64_t value = m * 2 * r->width + i;
  v16 opened = gelu_of(load_some(r->x->data, e, value + r->width, some));
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

INLINE void geglu(const void *arguments, int64_t first, int64_t end) {
  const struct rows *r = arguments;
  if (r->y->element == ELEMENT_BF16) {
    geglu_as(r, ELEMENT_BF16, first, end);
  } else {
    geglu_as(r, ELEMENT_F32, first, end);
  }
}
KERNEL(geglu)

enum status cpu_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  const struct rows rows = {x, y, y->shape[y->rank - 1]};
  cpu_parallel(cpu_of(device), &geglu_kernel, &rows, tensor_count(y) / rows.width, GRAIN_VALUES / 2 / rows.width + 1);
  return OK;
}

/* ---- moving: items are rows or pixels, the bytes go as they are ---- */

struct concat {
  const struct tensor *a, *b, *y;
  size_t left, right; /* bytes of a row */
};

INLINE void concat(const void *arguments, int64_t first, int64_t end) {
  const struct concat *c = arguments;
  for (int64_t m = first; m < end; m++) {
    char *row = (char *)c->y->data + (size_t)m * (c->left + c->right);
    memcpy(row, (const char *)c->a->data + (size_t)m * c->left, c->left);
    memcpy(row + c->left, (const char *)c->b->data + (size_t)m * c->right, c->right);
  }
}
KERNEL(concat)

enum status cpu_concat(struct device *device, const struct tensor *a, const struct tensor *b, const struct tensor *y) {
  size_t size = element_bytes(y->element);
  int64_t left = a->shape[a->rank - 1], right = b->shape[b->rank - 1];
  const struct concat arguments = {a, b, y, (size_t)left * size, (size_t)right * size};
  cpu_parallel(cpu_of(device), &concat_kernel, &arguments, tensor_count(a) / left, GRAIN_VALUES / (left + right) + 1);
  return OK;
}

struct upsample {
  const struct tensor *x, *y;
  size_t pixel_bytes;
};

/* Items are lines of y. */
INLINE void upsample(const void *arguments, int64_t first, int64_t end) {
  const struct upsample *u = arguments;
  const int64_t *from = u->x->shape, *to = u->y->shape;
  for (int64_t line = first; line < end; line++) {
    int64_t source_line = line / to[1] * from[1] + line % to[1] * from[1] / to[1];
    const char *source = (const char *)u->x->data + (size_t)(source_line * from[2]) * u->pixel_bytes;
    char *target = (char *)u->y->data + (size_t)(line * to[2]) * u->pixel_bytes;
    for (int64_t j = 0; j < to[2]; j++) {
      memcpy(target + (size_t)j * u->pixel_bytes, source + (size_t)(j * from[2] / to[2]) * u->pixel_bytes,
             u->pixel_bytes);
    }
  }
}
KERNEL(upsample)

enum status cpu_upsample(struct device *device, const struct tensor *x, const struct tensor *y) {
  const struct upsample arguments = {x, y, (size_t)y->shape[3] * element_bytes(y->element)};
  int64_t line = y->shape[2] * y->shape[3];
  cpu_parallel(cpu_of(device), &upsample_kernel, &arguments, y->shape[0] * y->shape[1], GRAIN_VALUES / line + 1);
  return OK;
}

/* ---- at a picture's start: small, so plain ---- */

enum status cpu_timestep_embedding(struct device *device, const float *timesteps, const struct tensor *y) {
  (void)device;
  int64_t half = y->shape[1] / 2;
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < half; i++) {
      float angle = timesteps[b] * expf(-logf(10000.0f) * (float)i / (float)half);
      v16 pair = {cosf(angle), sinf(angle)};
      store_some(y->data, y->element, b * 2 * half + i, pair, 1);
      pair[0] = pair[1];
      store_some(y->data, y->element, b * 2 * half + half + i, pair, 1);
    }
  }
  return OK;
}

struct embed {
  const struct tensor *table, *positions, *y;
  const int32_t *ids;
};

INLINE void embed(const void *arguments, int64_t first, int64_t end) {
  const struct embed *e = arguments;
  int64_t tokens = e->y->shape[1], width = e->y->shape[2];
  enum element element = e->y->element;
  for (int64_t m = first; m < end; m++) {
    int64_t word = e->ids[m] * width, position = m % tokens * width;
    for (int64_t c = 0; c < width; c += LANES) {
      int64_t some = lanes_left(c, width);
      v16 sum = load_some(e->table->data, element, word + c, some) +
                load_some(e->positions->data, element, position + c, some);
      store_some(e->y->data, element, m * width + c, sum, some);
    }
  }
}
KERNEL(embed)

enum status cpu_embed(struct device *device, const struct tensor *table, const struct tensor *positions,
                      const int32_t *ids, const struct tensor *y) {
  const struct embed arguments = {table, positions, y, ids};
  int64_t width = y->shape[2];
  cpu_parallel(cpu_of(device), &embed_kernel, &arguments, tensor_count(y) / width, GRAIN_VALUES / width + 1);
  return OK;
}
