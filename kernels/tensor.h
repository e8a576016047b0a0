/* tensor.h - a shaped piece of device memory.
 *
 * Always contiguous, last dimension fastest. Images are NHWC, token sequences are [batch, tokens,
 * channels]. A tensor is a plain value: it owns nothing; its memory belongs to the arena it was
 * taken from.
 */
#ifndef DARKROOM_KERNELS_TENSOR_H
#define DARKROOM_KERNELS_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum element { ELEMENT_F32, ELEMENT_BF16, ELEMENT_F16, ELEMENT_I32, ELEMENT_U8 };
#define ELEMENT_COUNT 5
#define TENSOR_RANK_MAX 4

struct tensor {
  void *data;
  enum element element;
  int rank;
  int64_t shape[TENSOR_RANK_MAX]; /* unused trailing entries are 1 */
};

/* Bytes of one element; number of elements; bytes of the whole. */
size_t element_bytes(enum element element);
const char *element_name(enum element element);
int64_t tensor_count(const struct tensor *tensor);
size_t tensor_bytes(const struct tensor *tensor);

/* Takes memory for a tensor from an arena (of the device it shall live on). EXHAUSTED when the
 * arena is full. */
enum status tensor_take(struct arena *arena, enum element element, int rank, const int64_t *shape,
                        struct tensor *out);
#define TENSOR_SHAPE(...) \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) { __VA_ARGS__ }

/* The same memory under another shape of equal count. Asserts the count. */
struct tensor tensor_view(const struct tensor *tensor, int rank, const int64_t *shape);

/* Rows [first, first + count) of the first dimension, without a copy. */
struct tensor tensor_rows(const struct tensor *tensor, int64_t first, int64_t count);

bool tensor_same_shape(const struct tensor *a, const struct tensor *b);

/* Conversions of single values (IEEE half, bfloat16 with round to nearest even; NaN stays NaN). */
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

/* The same for count values of a float type (f32, bf16, f16). */
void elements_to_f32(enum element element, const void *from, int64_t count, float *to);
void elements_from_f32(enum element element, const float *from, int64_t count, void *to);
/* Whether none of them is NaN or infinite. */
bool elements_finite(enum element element, const void *from, int64_t count);

#endif
