/* attention.c - softmax(q k' / sqrt(d)) v by blocks of queries and keys that stay in the cache (Dao
 * et al. 2022).
 *
 * First keys and values of some batch rows and heads are packed into panels; then each block of
 * queries walks over the keys: scores, the sum of its softmax and its outputs in f32, rescaled when
 * the scores have grown much. Blocks are cut by an image's own lengths alone,
 * so neither threads nor batch mates can touch the bits.
 */
#include <assert.h>

#include "kernels/cpu/bodies.h"
#include "kernels/cpu/cpu.h"

enum { KEYS = 256, KEYS_WIDE = 128, WIDE = 256 };
/* What a piece of work holds at least, some 30 us of it: waking a thread costs as much. A score's
 * curve takes the time of some products. */
enum { PACK_VALUES = 262144, ATTEND_PRODUCTS = 3000000, CURVE = 24 };
#define PACKED_BYTES_MAX \
  ((int64_t)8 << 20) /* of keys and values at a time: they should stay in the last cache */

struct memory flash_memory(const struct flash *f, int64_t pair) {
  const struct attention *a = f->attention;
  int64_t b = pair / f->heads, head = pair % f->heads, size = f->element_bytes,
          width = f->heads * f->d;
  if (a->rows != NULL) {
    const struct batch_row *row = &a->rows[b];
    const char *keys = (const char *)row->context + (row->tokens * a->column + head * f->d) * size;
    return (struct memory){
        pair, keys, keys + width * size, row->tokens, 2 * width * size, 2 * width * size};
  }
  const struct tensor *k = a->k.tensor, *v = a->v.tensor;
  return (struct memory){
      pair,
      (const char *)k->data + (b * k->shape[1] * k->shape[2] + a->k.first + head * f->d) * size,
      (const char *)v->data + (b * v->shape[1] * v->shape[2] + a->v.first + head * f->d) * size,
      k->shape[1],
      k->shape[2] * size,
      v->shape[2] * size};
}

/* What one block of queries works in (bodies/attention.c). */
static int64_t work_bytes(const struct flash *f) {
  int64_t lines = (f->depth + f->keys) / f->per_unit + f->panels * PANEL + 3;
  return lines * f->queries * 4;
}

static int64_t longest_memory(const struct flash *f) {
  int64_t longest = 0;
  for (int64_t b = 0; b < f->batch; b++) {
    int64_t length = flash_memory(f, b * f->heads).length;
    longest = length > longest ? length : longest;
  }
  return whole_panels(longest);
}

static struct flash plan(struct cpu *cpu, const struct attention *attention,
                         const struct tensor *y) {
  enum element element = y->element;
  struct flash f = {.attention = attention,
                    .y = y,
                    .element = element,
                    .heads = attention->heads,
                    .batch = y->shape[0],
                    .tokens = y->shape[1],
                    .d = y->shape[2] / attention->heads};
  f.element_bytes = (int64_t)element_bytes(element);
  f.per_unit = 4 / f.element_bytes;
  f.depth = (f.d + f.per_unit - 1) / f.per_unit * f.per_unit;
  f.panels = whole_panels(f.d) / PANEL;
  f.queries = cpu->bodies->attend_queries;
  f.keys = f.d > WIDE ? KEYS_WIDE : KEYS;
  f.blocks = (f.tokens + f.queries - 1) / f.queries;
  f.keys_max = longest_memory(&f);
  f.packed_bytes = f.keys_max * (f.depth + f.panels * PANEL) * f.element_bytes;
  f.work_bytes = (work_bytes(&f) + 63) / 64 * 64;
  assert(f.packed_bytes > 0);
  f.count = PACKED_BYTES_MAX / f.packed_bytes;
  f.count = f.count < 1 ? 1 : f.count > f.batch * f.heads ? f.batch * f.heads : f.count;
  return f;
}

enum status cpu_attention(struct device *device, const struct attention *attention,
                          const struct tensor *y) {
  struct cpu *cpu = cpu_of(device);
  struct flash f = plan(cpu, attention, y);
  int64_t pairs = f.batch * f.heads;
  size_t bytes = (size_t)(f.count * f.packed_bytes + cpu->head.threads * f.work_bytes);
  f.packed = cpu_scratch(cpu, bytes);
  if (f.packed == NULL) {
    return EXHAUSTED;
  }
  f.work = f.packed + f.count * f.packed_bytes;
  int64_t pack_grain = PACK_VALUES / (PANEL * (f.depth + f.panels * PANEL)) + 1;
  int64_t attend_grain =
      ATTEND_PRODUCTS / (f.queries * f.keys_max * (f.depth + f.panels * PANEL + CURVE)) + 1;
  for (f.first = 0; f.first < pairs; f.first += f.count) {
    int64_t now = pairs - f.first < f.count ? pairs - f.first : f.count;
    cpu_parallel(cpu, cpu->bodies->pack, &f, now * f.keys_max / PANEL, pack_grain);
    cpu_parallel(cpu, cpu->bodies->attend, &f, now * f.blocks, attend_grain);
  }
  return OK;
}
