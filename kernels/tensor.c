/* tensor.c - shapes, views and the float formats. */
#include "kernels/tensor.h"

#include <assert.h>
#include <string.h>

static const struct {
  const char *name;
  size_t bytes;
} elements[ELEMENT_COUNT] = {
    [ELEMENT_F32] = {"f32", 4}, [ELEMENT_BF16] = {"bf16", 2}, [ELEMENT_F16] = {"f16", 2},
    [ELEMENT_I32] = {"i32", 4}, [ELEMENT_U8] = {"u8", 1},
};

size_t element_bytes(enum element element) { return elements[element].bytes; }

const char *element_name(enum element element) { return elements[element].name; }

int64_t tensor_count(const struct tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) {
    count *= tensor->shape[i];
  }
  return count;
}

size_t tensor_bytes(const struct tensor *tensor) {
  return (size_t)tensor_count(tensor) * element_bytes(tensor->element);
}

static struct tensor shaped(void *data, enum element element, int rank, const int64_t *shape) {
  assert(rank >= 1 && rank <= TENSOR_RANK_MAX);
  struct tensor tensor = {.data = data, .element = element, .rank = rank, .shape = {1, 1, 1, 1}};
  for (int i = 0; i < rank; i++) {
    assert(shape[i] > 0);
    tensor.shape[i] = shape[i];
  }
  return tensor;
}

enum status tensor_take(struct arena *arena, enum element element, int rank, const int64_t *shape,
                        struct tensor *out) {
  struct tensor tensor = shaped(NULL, element, rank, shape);
  tensor.data = arena_take(arena, tensor_bytes(&tensor));
  if (tensor.data == NULL) {
    return EXHAUSTED; /* the arena has said why */
  }
  *out = tensor;
  return OK;
}

struct tensor tensor_view(const struct tensor *tensor, int rank, const int64_t *shape) {
  struct tensor view = shaped(tensor->data, tensor->element, rank, shape);
  assert(tensor_count(&view) == tensor_count(tensor));
  return view;
}

struct tensor tensor_rows(const struct tensor *tensor, int64_t first, int64_t count) {
  assert(first >= 0 && count > 0 && first + count <= tensor->shape[0]);
  struct tensor rows = *tensor;
  size_t row_bytes = tensor_bytes(tensor) / (size_t)tensor->shape[0];
  rows.data = (char *)tensor->data + (size_t)first * row_bytes;
  rows.shape[0] = count;
  return rows;
}

bool tensor_same_shape(const struct tensor *a, const struct tensor *b) {
  return a->rank == b->rank &&
         memcmp(a->shape, b->shape, sizeof a->shape[0] * (size_t)a->rank) == 0;
}

static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

float bf16_to_f32(uint16_t bits) { return float_of((uint32_t)bits << 16); }

/* A NaN whose payload lies in the low half must not become infinity. */
uint16_t f32_to_bf16(float value) {
  uint32_t bits = bits_of(value);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  bool nan = (bits & 0x7fffffff) > 0x7f800000;
  return (uint16_t)(nan ? bits >> 16 | 0x40 : rounded);
}

/* All three cases are computed and one is chosen, so that a loop of it has no branches. */
float f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t magnitude = bits & 0x7fff;
  uint32_t special = 0x7f800000 | (magnitude & 0x3ff) << 13; /* infinity and NaN */
  uint32_t normal = (magnitude << 13) + (112u << 23);
  uint32_t subnormal = bits_of((float)(int32_t)magnitude * 0x1p-24f); /* exact in f32 */
  uint32_t finite = magnitude >= 0x400 ? normal : subnormal;
  return float_of(sign | (magnitude >= 0x7c00 ? special : finite));
}

/* Keeps the top 32 - drop bits of a significand, rounding to nearest, ties to even. */
static uint32_t round_off(uint32_t significand, int drop) {
  uint32_t kept = significand >> drop;
  uint32_t lost = significand & ((1u << drop) - 1);
  uint32_t half = 1u << (drop - 1);
  return kept + (lost > half || (lost == half && (kept & 1)));
}

uint16_t f32_to_f16(float value) {
  uint32_t bits = bits_of(value);
  uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return (uint16_t)(sign | 0x7e00);
  }
  if (magnitude >= 0x477ff000) { /* 65520 and above round to infinity */
    return (uint16_t)(sign | 0x7c00);
  }
  if (magnitude >=
      0x38800000) { /* normal: 2^-14 and above; a carry walks into the exponent as it should */
    return (uint16_t)(sign | (round_off(magnitude, 13) - (112u << 10)));
  }
  if (magnitude < 0x33000000) { /* below 2^-25 */
    return sign;
  }
  uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
  return (uint16_t)(sign | round_off(significand, 126 - (int)(magnitude >> 23)));
}

void elements_to_f32(enum element element, const void *from, int64_t count, float *to) {
  assert(element == ELEMENT_F32 || element == ELEMENT_BF16 || element == ELEMENT_F16);
  if (element == ELEMENT_F32) {
    memcpy(to, from, (size_t)count * sizeof *to);
    return;
  }
  const uint16_t *restrict half = from;
  if (element == ELEMENT_BF16) {
    for (int64_t i = 0; i < count; i++) {
      to[i] = bf16_to_f32(half[i]);
    }
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    to[i] = f16_to_f32(half[i]);
  }
}

void elements_from_f32(enum element element, const float *from, int64_t count, void *to) {
  assert(element == ELEMENT_F32 || element == ELEMENT_BF16 || element == ELEMENT_F16);
  if (element == ELEMENT_F32) {
    memcpy(to, from, (size_t)count * sizeof *from);
    return;
  }
  uint16_t *restrict half = to;
  if (element == ELEMENT_BF16) {
    for (int64_t i = 0; i < count; i++) {
      half[i] = f32_to_bf16(from[i]);
    }
    return;
  }
  for (int64_t i = 0; i < count; i++) {
    half[i] = f32_to_f16(from[i]);
  }
}

/* All bits of the exponent are set in those that are not finite. */
bool elements_finite(enum element element, const void *from, int64_t count) {
  assert(element == ELEMENT_F32 || element == ELEMENT_BF16 || element == ELEMENT_F16);
  const uint32_t *restrict whole = from;
  const uint16_t *restrict half = from;
  uint32_t exponent = element == ELEMENT_F32    ? 0x7f800000
                      : element == ELEMENT_BF16 ? 0x7f80
                                                : 0x7c00;
  bool finite = true;
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits = element == ELEMENT_F32 ? whole[i] : half[i];
    finite = finite && (bits & exponent) != exponent;
  }
  return finite;
}
