/* vector.h - a vector of floats as wide as the level's registers: 16 lanes with AVX-512, 8 with
 * AVX2, else 4.
 *
 * A loop does the whole vectors of a row, then what is left once more, filled up with zeros: the
 * same arithmetic, so a value's bits do not depend on where it lies. Included by the level_*.c
 * only, under the level's target.
 */
#ifndef DARKROOM_KERNELS_CPU_BODIES_VECTOR_H
#define DARKROOM_KERNELS_CPU_BODIES_VECTOR_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tensor.h"

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef uint32_t uvec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE int64_t whole_vectors(int64_t count) { return count / LANES * LANES; }
INLINE int64_t lanes_left(int64_t at, int64_t end) { return end - at < LANES ? end - at : LANES; }

INLINE vec all(float value) { return (vec){0} + value; }

INLINE vec load_f32(const float *from) {
  vec value;
  memcpy(&value, from, sizeof value);
  return value;
}

INLINE void store_f32(float *to, vec value) { memcpy(to, &value, sizeof value); }

/* ---- what gcc has no words for ---- */

#if defined(__AVX512F__)
INLINE vec widen(const uint16_t *half) {
  return (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)half)), 16);
}
/* Of f16. */
INLINE vec widen_half(const uint16_t *half) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)half));
}
/* To nearest even. bf16 is used only on processors that have the instruction. */
INLINE void narrow(uint16_t *half, vec value) {
  _mm256_storeu_si256((void *)half, (__m256i)_mm512_cvtneps_pbh(value));
}
INLINE vec fused(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
} /* a * b + c rounded once */
INLINE vec at_least(vec a, vec least) {
  return _mm512_max_ps(least, a);
} /* in this order NaN stays NaN */
INLINE vec at_most(vec a, vec most) { return _mm512_min_ps(most, a); }
INLINE float sum_of(vec v) { return _mm512_reduce_add_ps(v); }
#else
INLINE vec widen(const uint16_t *half) {
  uvec bits;
  for (int i = 0; i < LANES; i++) {
    bits[i] = (uint32_t)half[i] << 16;
  }
  return (vec)bits;
}
INLINE vec widen_half(const uint16_t *half) {
  float wide[LANES];
  elements_to_f32(ELEMENT_F16, half, LANES, wide);
  vec value;
  memcpy(&value, wide, sizeof value);
  return value;
}
INLINE void narrow(uint16_t *half, vec value) {
  uvec bits = (uvec)value;
  bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  for (int i = 0; i < LANES; i++) {
    half[i] = (uint16_t)bits[i];
  }
}
#if defined(__AVX2__)
INLINE vec fused(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec at_least(vec a, vec least) { return _mm256_max_ps(least, a); }
INLINE vec at_most(vec a, vec most) { return _mm256_min_ps(most, a); }
#else
INLINE vec fused(vec a, vec b, vec c) { return a * b + c; }
INLINE vec at_least(vec a, vec least) { return _mm_max_ps(least, a); }
INLINE vec at_most(vec a, vec most) { return _mm_min_ps(most, a); }
#endif
INLINE float sum_of(vec v) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) {
    sum += v[i];
  }
  return sum;
}
#endif

/* ---- memory: f32 or bf16 values from index on ---- */

INLINE vec load_all(const void *data, enum element element, int64_t index) {
  return element == ELEMENT_F32 ? load_f32((const float *)data + index)
                                : widen((const uint16_t *)data + index);
}

INLINE void store_all(void *data, enum element element, int64_t index, vec value) {
  if (element == ELEMENT_F32) {
    store_f32((float *)data + index, value);
  } else {
    narrow((uint16_t *)data + index, value);
  }
}

/* The first count lanes; the others are zero, or left alone. */
INLINE vec load_some(const void *data, enum element element, int64_t index, int64_t count) {
  if (count == LANES) {
    return load_all(data, element, index);
  }
  char part[LANES * sizeof(float)] = {0};
  size_t size = element == ELEMENT_F32 ? sizeof(float) : sizeof(uint16_t);
  memcpy(part, (const char *)data + (size_t)index * size, (size_t)count * size);
  return load_all(part, element, 0);
}

INLINE void store_some(void *data, enum element element, int64_t index, vec value, int64_t count) {
  if (count == LANES) {
    store_all(data, element, index, value);
    return;
  }
  char part[LANES * sizeof(float)];
  store_all(part, element, 0, value);
  size_t size = element == ELEMENT_F32 ? sizeof(float) : sizeof(uint16_t);
  memcpy((char *)data + (size_t)index * size, part, (size_t)count * size);
}

#endif
