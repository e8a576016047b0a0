/* vector.h - sixteen floats at a time, in gcc's vector words, compiled once per level of processor.
 *
 * An op is written as one body, INLINE void name(const void *arguments, first, end); KERNEL(name) compiles it for each
 * level and makes the table name_kernel that cpu_parallel picks from. A loop does the whole vectors of a row, then what is
 * left once more, filled up with zeros: the same arithmetic, so a value's bits do not depend on where it lies.
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

INLINE int64_t whole_vectors(int64_t count) { return count / LANES * LANES; }
INLINE int64_t lanes_left(int64_t at, int64_t end) { return end - at < LANES ? end - at : LANES; }

/* Lane by lane: gcc makes one widening load of it, where its own vector conversion takes four steps. */
INLINE v16 widen(const uint16_t *half) {
  uint32_t bits[LANES];
  for (int i = 0; i < LANES; i++) {
    bits[i] = (uint32_t)half[i] << 16;
  }
  v16 value;
  memcpy(&value, bits, sizeof value);
  return value;
}

/* Rounds to nearest even. A NaN that arithmetic makes stays one. */
INLINE void narrow(uint16_t *half, v16 value) {
  u16x32 rounded = (u16x32)value;
  rounded += 0x7fff + (rounded >> 16 & 1);
  uint32_t bits[LANES];
  memcpy(bits, &rounded, sizeof bits);
  for (int i = 0; i < LANES; i++) {
    half[i] = (uint16_t)(bits[i] >> 16);
  }
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
  return widen((const uint16_t *)data + index);
}

INLINE void store16(void *data, enum element element, int64_t index, v16 value) {
  if (element == ELEMENT_F32) {
    store_f32((float *)data + index, value);
    return;
  }
  narrow((uint16_t *)data + index, value);
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

/* What gcc has no vector word for goes lane by lane over arrays, and becomes one instruction all the same. */
struct lanes {
  float lane[LANES];
};
INLINE struct lanes lanes_of(v16 v) {
  struct lanes lanes;
  memcpy(&lanes, &v, sizeof lanes);
  return lanes;
}

/* a * b + c rounded once. */
INLINE v16 fused(v16 a, v16 b, v16 c) {
  struct lanes x = lanes_of(a), y = lanes_of(b), z = lanes_of(c);
  for (int i = 0; i < LANES; i++) {
    z.lane[i] = __builtin_fmaf(x.lane[i], y.lane[i], z.lane[i]);
  }
  return load_f32(z.lane);
}

INLINE v16 pick(i16x32 mask, v16 yes, v16 no) {
  return (v16)(((u16x32)yes & (u16x32)mask) | ((u16x32)no & ~(u16x32)mask));
}
/* The larger and the smaller; where a is NaN, NaN. */
INLINE v16 at_least(v16 a, v16 least) { return pick(a < least, least, a); }
INLINE v16 at_most(v16 a, v16 most) { return pick(a > most, most, a); }

/* Lane i gets what lane i ^ bit has. */
INLINE v16 swap_lanes(v16 v, int bit) {
  i16x32 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return __builtin_shuffle(v, lane ^ bit);
}

INLINE float sum_of(v16 v) {
  v += swap_lanes(v, 8);
  v += swap_lanes(v, 4);
  v += swap_lanes(v, 2);
  v += swap_lanes(v, 1);
  return v[0];
}

INLINE float largest_of(v16 v) {
  v = at_least(v, swap_lanes(v, 8));
  v = at_least(v, swap_lanes(v, 4));
  v = at_least(v, swap_lanes(v, 2));
  v = at_least(v, swap_lanes(v, 1));
  return v[0];
}

/* 2^x to 2e-7 relative (Taylor to degree 6 on [-1/2, 1/2]) for x <= 127; never less than 2^-126. NaN stays NaN. */
INLINE v16 exp2_of(v16 x) {
  v16 bounded = at_least(x, all(-126));
  v16 whole = (bounded + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  v16 f = bounded - whole;
  v16 p = all(1.54353e-4f);
  p = fused(p, f, all(1.33335581e-3f));
  p = fused(p, f, all(9.61812911e-3f));
  p = fused(p, f, all(5.55041087e-2f));
  p = fused(p, f, all(2.40226507e-1f));
  p = fused(p, f, all(6.93147181e-1f));
  p = fused(p, f, all(1.0f));
  i16x32 exponent = __builtin_convertvector(whole, i16x32);
  return (v16)((i16x32)p + (exponent << 23)); /* p is in [0.7, 1.42]: its exponent has room */
}

INLINE v16 sigmoid_of(v16 x) { return 1.0f / (1.0f + exp2_of(at_most(x * -1.44269504f, all(127)))); }

/* A quotient of polynomials, to 3e-7 on the whole line (as in Eigen and XLA). */
INLINE v16 erf_of(v16 x) {
  x = at_most(at_least(x, all(-4)), all(4));
  v16 s = x * x;
  v16 p = all(-2.72614225801306e-10f);
  p = fused(p, s, all(2.77068142495902e-08f));
  p = fused(p, s, all(-2.10102402082508e-06f));
  p = fused(p, s, all(-5.69250639462346e-05f));
  p = fused(p, s, all(-7.34990630326855e-04f));
  p = fused(p, s, all(-2.95459980854025e-03f));
  p = fused(p, s, all(-1.60960333262415e-02f));
  v16 q = all(-1.45660718464996e-05f);
  q = fused(q, s, all(-2.13374055278905e-04f));
  q = fused(q, s, all(-1.68282697438203e-03f));
  q = fused(q, s, all(-7.37332916720468e-03f));
  q = fused(q, s, all(-1.42647390514189e-02f));
  return x * p / q;
}

INLINE v16 gelu_of(v16 x) {
  v16 half = 0.5f * x;
  return fused(half, erf_of(x * 0.70710678f), half);
}

#endif
