/* units.h - vectors of units: four bytes that are one float or two bf16 values, as products take
 * them; and squares of units turned over.
 */
#ifndef DARKROOM_KERNELS_CPU_BODIES_UNITS_H
#define DARKROOM_KERNELS_CPU_BODIES_UNITS_H

#include "kernels/cpu/bodies/vector.h"

#if defined(__AVX512F__)
INLINE bool any_above(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
INLINE vec all_of(const float *unit) { return _mm512_set1_ps(*unit); }
/* Each unit two bf16 values: sum + a's first * b's first + a's second * b's second. */
INLINE vec fused_pairs(vec a, vec b, vec sum) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
INLINE vec pair_of(vec first, vec second) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return (vec)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}
INLINE vec load_bytes(const char *from, int64_t bytes) {
  __mmask64 some = bytes >= 64 ? ~0ULL : (1ULL << bytes) - 1;
  return (vec)_mm512_maskz_loadu_epi8(some, from);
}
#else
#if defined(__AVX2__)
INLINE bool any_above(vec a, vec b) {
  return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0;
}
INLINE vec all_of(const float *unit) { return _mm256_set1_ps(*unit); }
#else
INLINE bool any_above(vec a, vec b) { return _mm_movemask_ps(_mm_cmpgt_ps(a, b)) != 0; }
INLINE vec all_of(const float *unit) { return _mm_set1_ps(*unit); }
#endif
/* The words of bf16, for the compiler: no such level holds values in it. */
INLINE vec fused_pairs(vec a, vec b, vec sum) {
  vec firsts = fused((vec)((uvec)a << 16), (vec)((uvec)b << 16), sum);
  return fused((vec)((uvec)a & 0xffff0000), (vec)((uvec)b & 0xffff0000), firsts);
}
INLINE vec pair_of(vec first, vec second) {
  uint16_t halves[2][LANES];
  uvec units;
  narrow(halves[0], first);
  narrow(halves[1], second);
  for (int i = 0; i < LANES; i++) {
    units[i] = halves[0][i] | (uint32_t)halves[1][i] << 16;
  }
  return (vec)units;
}
INLINE vec load_bytes(const char *from, int64_t bytes) {
  if (bytes >= (int64_t)sizeof(vec)) {
    return load_f32((const float *)from);
  }
  vec value = {0};
  memcpy(&value, from, (size_t)bytes);
  return value;
}
#endif

/* ---- a square of LANES vectors ---- */

/* Lanes with bit `step` of row i change places with lanes without it of row i + step. */
#if defined(__AVX512F__)
INLINE void exchange(vec *low, vec *high, const int step) {
  ivec to_low, to_high;
  for (int l = 0; l < LANES; l++) {
    to_low[l] = (l & step) != 0 ? LANES + l - step : l;
    to_high[l] = (l & step) != 0 ? LANES + l : l + step;
  }
  vec a = *low, b = *high;
  *low = _mm512_permutex2var_ps(a, (__m512i)to_low, b);
  *high = _mm512_permutex2var_ps(a, (__m512i)to_high, b);
}
#else
INLINE void exchange(vec *low, vec *high, const int step) {
  vec a = *low, b = *high;
  switch (step) {
#if LANES == 8
    case 1:
      *low = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
      *high = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
      break;
    case 2:
      *low = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      *high = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
      break;
    case 4:
      *low = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
      *high = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
      break;
#else
    case 1:
      *low = __builtin_shufflevector(a, b, 0, 4, 2, 6);
      *high = __builtin_shufflevector(a, b, 1, 5, 3, 7);
      break;
    case 2:
      *low = __builtin_shufflevector(a, b, 0, 1, 4, 5);
      *high = __builtin_shufflevector(a, b, 2, 3, 6, 7);
      break;
#endif
    default:
      break;
  }
}
#endif

INLINE void transpose(vec square[LANES]) {
  UNROLL for (int step = 1; step < LANES; step *= 2) {
    UNROLL for (int i = 0; i < LANES; i++) {
      if ((i & step) == 0) {
        exchange(&square[i], &square[i + step], step);
      }
    }
  }
}

#endif
