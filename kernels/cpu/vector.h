/* vector.h - sixteen floats at a time, in gcc's vector words, compiled once per level of processor.
 *
 * An op is written as one body, INLINE void name(const void *arguments, first, end); KERNEL(name) compiles it for each
 * level and makes the table name_kernel that cpu_parallel picks from. The last vector of a row is filled with zeros and
 * goes through the same arithmetic, so a value's bits do not depend on where it lies.
 */
#ifndef DARKROOM_KERNELS_CPU_VECTOR_H
#define DARKROOM_KERNELS_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#include "kernels/tensor.h"

/* Vectors are only ever passed to functions that are inlined, so how a level passes them does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define LANES 16
typedef float v16 __attribute__((vector_size(64)));
typedef uint32_t u16x32 __attribute__((vector_size(64)));
typedef int32_t i16x32 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")))
#define TARGET_BF16 __attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

#define KERNEL(name)                                                                                                  \
  static void name##_plain(const void *arguments, int64_t first, int64_t end) { name(arguments, first, end); }       \
  TARGET_AVX2 static void name##_avx2(const void *arguments, int64_t first, int64_t end) {                           \
    name(arguments, first, end);                                                                                      \
  }                                                                                                                   \
  TARGET_AVX512 static void name##_avx512(const void *arguments, int64_t first, int64_t end) {                       \
    name(arguments, first, end);                                                                                      \
  }                                                                                                                   \
  static const struct kernel name##_kernel = {{name##_plain, name##_avx2, name##_avx512}};

/* ---- memory ---- */

INLINE int64_t lanes_left(int64_t at, int64_t end) { return end - at < LANES ? end - at : LANES; }

INLINE v16 widen(u16x16 half) { return (v16)(__builtin_convertvector(half, u16x32) << 16); }

/* Rounds to nearest even. A NaN that arithmetic makes stays one. */
INLINE u16x16 narrow(v16 value) {
  u16x32 bits = (u16x32)value;
  bits += 0x7fff + (bits >> 16 & 1);
  return __builtin_convertvector(bits >> 16, u16x16);
}

INLINE v16 load_f32(const float *from) {
  v16 value;
  memcpy(&value, from, sizeof value);
  return value;
}

INLINE void store_f32(float *to, v16 value) { memcpy(to, &value, sizeof value); }

/* Sixteen f32 or bf16 values from index on. */
INLINE v16 load16(const void *data, enum element element, int64_t index) {
  if (element == ELEMENT_F32) {
    return load_f32((const float *)data + index);
  }
  u16x16 half;
  memcpy(&half, (const uint16_t *)data + index, sizeof half);
  return widen(half);
}

INLINE void store16(void *data, enum element element, int64_t index, v16 value) {
  if (element == ELEMENT_F32) {
    store_f32((float *)data + index, value);
    return;
  }
  u16x16 half = narrow(value);
  memcpy((uint16_t *)data + index, &half, sizeof half);
}

/* The first count of sixteen; the rest is zero, or left alone. */
INLINE v16 load_some(const void *data, enum element element, int64_t index, int64_t count) {
  if (count == LANES) {
    return load16(data, element, index);
  }
  float part[LANES] = {0};
  for (int64_t i = 0; i < count; i++) {
    part[i] = element == ELEMENT_F32 ? ((const float *)data)[index + i]
                                     : bf16_to_f32(((const uint16_t *)data)[index + i]);
  }
  return load_f32(part);
}

INLINE void store_some(void *data, enum element element, int64_t index, v16 value, int64_t count) {
  if (count == LANES) {
    store16(data, element, index, value);
    return;
  }
  char part[LANES * sizeof(float)];
  store16(part, element, 0, value);
  size_t size = element == ELEMENT_F32 ? sizeof(float) : sizeof(uint16_t);
  memcpy((char *)data + (size_t)index * size, part, (size_t)count * size);
}

/* ---- arithmetic ---- */

INLINE v16 all(float value) { return (v16){0} + value; }
INLINE v16 pick(i16x32 mask, v16 yes, v16 no) {
  return (v16)(((u16x32)yes & (u16x32)mask) | ((u16x32)no & ~(u16x32)mask));
}
INLINE v16 at_least(v16 a, v16 least) { return pick(a < least, least, a); }
INLINE v16 at_most(v16 a, v16 most) { return pick(a > most, most, a); }

INLINE float sum_of(v16 v) {
  float lane[LANES];
  store_f32(lane, v);
  for (int half = LANES / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) {
      lane[i] += lane[i + half];
    }
  }
  return lane[0];
}

/* 2^x to 2e-7 relative (degree 6 on [-1/2, 1/2]); below 2^-126 it is 0, NaN stays NaN. */
INLINE v16 exp2_of(v16 x) {
  v16 bounded = at_most(at_least(x, all(-126)), all(127));
  v16 whole = (bounded + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  v16 f = bounded - whole;
  v16 p = all(1.54353e-4f);
  p = p * f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  i16x32 exponent = __builtin_convertvector(whole, i16x32) + 127;
  v16 value = p * (v16)(exponent << 23);
  value = pick(x < all(-126), all(0), value);
  return pick(x == x, value, x);
}

INLINE v16 exp_of(v16 x) { return exp2_of(x * 1.44269504f); }
INLINE v16 sigmoid_of(v16 x) { return 1.0f / (1.0f + exp_of(-x)); }

/* Abramowitz and Stegun 7.1.26: 1.5e-7 absolute. */
INLINE v16 erf_of(v16 x) {
  v16 size = pick(x < 0.0f, -x, x);
  v16 t = 1.0f / (1.0f + 0.3275911f * size);
  v16 p = all(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  v16 value = 1.0f - p * t * exp_of(-size * size);
  return pick(x < 0.0f, -value, value);
}

INLINE v16 gelu_of(v16 x) { return 0.5f * x * (1.0f + erf_of(x * 0.70710678f)); }

#endif
