/* pointwise.c - each value by itself, and what only moves values: as fast as memory goes. */
#include <math.h>
#include <string.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/cpu.h"

/* Below this a second thread costs more than it brings: waking it takes 5 to 60 us. */
enum { GRAIN_VALUES = 65536, PIXEL_GRAIN_VALUES = 16384 };

enum status cpu_geglu(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct rows rows = {x, y, y->shape[y->rank - 1]};
  cpu_parallel(cpu, cpu->bodies->geglu, &rows, tensor_count(y) / rows.width,
               GRAIN_VALUES / 2 / rows.width + 1);
  return OK;
}

/* ---- moving: items are rows or pixels, the bytes go as they are ---- */

struct concat {
  const struct tensor *a, *b, *y;
  size_t left, right; /* bytes of a row */
};

static void concat(const void *arguments, int64_t first, int64_t end) {
  const struct concat *c = arguments;
  for (int64_t m = first; m < end; m++) {
    char *row = (char *)c->y->data + (size_t)m * (c->left + c->right);
    memcpy(row, (const char *)c->a->data + (size_t)m * c->left, c->left);
    memcpy(row + c->left, (const char *)c->b->data + (size_t)m * c->right, c->right);
  }
}

enum status cpu_concat(struct device *device, const struct tensor *a, const struct tensor *b,
                       const struct tensor *y) {
  size_t size = element_bytes(y->element);
  int64_t left = a->shape[a->rank - 1], right = b->shape[b->rank - 1];
  const struct concat arguments = {a, b, y, (size_t)left * size, (size_t)right * size};
  cpu_parallel(cpu_of(device), concat, &arguments, tensor_count(a) / left,
               GRAIN_VALUES / (left + right) + 1);
  return OK;
}

struct upsample {
  const struct tensor *x, *y;
  size_t pixel_bytes;
};

/* Items are lines of y. */
static void upsample(const void *arguments, int64_t first, int64_t end) {
  const struct upsample *u = arguments;
  const int64_t *from = u->x->shape, *to = u->y->shape;
  for (int64_t line = first; line < end; line++) {
    int64_t source_line = line / to[1] * from[1] + line % to[1] * from[1] / to[1];
    const char *source =
        (const char *)u->x->data + (size_t)(source_line * from[2]) * u->pixel_bytes;
    char *target = (char *)u->y->data + (size_t)(line * to[2]) * u->pixel_bytes;
    for (int64_t j = 0; j < to[2]; j++) {
      memcpy(target + (size_t)j * u->pixel_bytes,
             source + (size_t)(j * from[2] / to[2]) * u->pixel_bytes, u->pixel_bytes);
    }
  }
}

enum status cpu_upsample(struct device *device, const struct tensor *x, const struct tensor *y) {
  const struct upsample arguments = {x, y, (size_t)y->shape[3] * element_bytes(y->element)};
  int64_t line = y->shape[2] * y->shape[3];
  cpu_parallel(cpu_of(device), upsample, &arguments, y->shape[0] * y->shape[1],
               GRAIN_VALUES / line + 1);
  return OK;
}

enum status cpu_pixels(struct device *device, const struct tensor *x, const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct flat flat = {.a = x, .y = y};
  cpu_parallel(cpu, cpu->bodies->pixels, &flat, tensor_count(x), PIXEL_GRAIN_VALUES);
  return OK;
}

/* ---- at a picture's start: small, so plain ---- */

static void put_value(const struct tensor *y, int64_t i, float value) {
  elements_from_f32(y->element, &value, 1,
                    (char *)y->data + i * (int64_t)element_bytes(y->element));
}

enum status cpu_timestep_embedding(struct device *device, const struct batch_row *rows,
                                   const struct tensor *y) {
  (void)device;
  int64_t half = y->shape[1] / 2;
  for (int64_t b = 0; b < y->shape[0]; b++) {
    for (int64_t i = 0; i < half; i++) {
      float angle = rows[b].timestep * expf(-logf(10000.0f) * (float)i / (float)half);
      put_value(y, b * 2 * half + i, cosf(angle));
      put_value(y, b * 2 * half + half + i, sinf(angle));
    }
  }
  return OK;
}

enum status cpu_activate(struct device *device, enum activation activation, const struct tensor *x,
                         const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct activate activate = {x, y, activation};
  cpu_parallel(cpu, cpu->bodies->activate, &activate, tensor_count(x), GRAIN_VALUES);
  return OK;
}

enum status cpu_embed(struct device *device, const struct words *words, const struct tensor *ids,
                      const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  const struct embed embed = {words, ids->data, y};
  int64_t width = y->shape[2];
  cpu_parallel(cpu, cpu->bodies->embed, &embed, tensor_count(y) / width, GRAIN_VALUES / width + 1);
  return OK;
}
