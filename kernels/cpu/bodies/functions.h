/* functions.h - the curves: 2^x, sigmoid, erf, gelu, on whole vectors. */
#ifndef DARKROOM_KERNELS_CPU_BODIES_FUNCTIONS_H
#define DARKROOM_KERNELS_CPU_BODIES_FUNCTIONS_H

#include "kernels/cpu/bodies/vector.h"
#include "kernels/ops.h"

/* 2^x = 2^fraction * 2^whole, to 2e-7 relative; at the ends 0 or infinity, or something as small or
 * large. NaN stays NaN. 2^fraction is the sum of exp2_powers[i] fraction^i, least error. */
enum { EXP2_DEGREE = 5 };
#if defined(__AVX512F__)
/* fraction in [0, 1] */
static const float exp2_powers[EXP2_DEGREE + 1] = {1.0f,           6.93151295e-1f, 2.40164444e-1f,
                                                   5.57999127e-2f, 9.01702978e-3f, 1.86713017e-3f};
INLINE vec fraction_of(vec x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF); }
INLINE vec with_whole_of(vec p, vec x) { return _mm512_scalef_ps(p, x); }
#else
/* fraction in [-1/2, 1/2] */
static const float exp2_powers[EXP2_DEGREE + 1] = {1.0f,           6.93147004e-1f, 2.40222424e-1f,
                                                   5.55073358e-2f, 9.67151299e-3f, 1.32647273e-3f};
INLINE vec bounded(vec x) { return at_most(at_least(x, all(-126)), all(127)); }
INLINE vec whole_of(vec x) {
  return (bounded(x) + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
}
INLINE vec fraction_of(vec x) { return bounded(x) - whole_of(x); }
INLINE vec with_whole_of(vec p, vec x) { /* p is in [0.7, 1.42]: its exponent has room */
  return (vec)((ivec)p + (__builtin_convertvector(whole_of(x), ivec) << 23));
}
#endif

INLINE vec exp2_of(vec x) {
  vec fraction = fraction_of(x), p = all(exp2_powers[EXP2_DEGREE]);
  UNROLL for (int i = EXP2_DEGREE - 1; i >= 0; i--) { p = fused(p, fraction, all(exp2_powers[i])); }
  return with_whole_of(p, x);
}

/* x / (1 + e^(-slope x)) */
INLINE vec swish_of(vec x, float slope) { return x / (1.0f + exp2_of(x * (-1.44269504f * slope))); }

/* A quotient of polynomials, to 3e-7 on the whole line (as in Eigen and XLA). */
INLINE vec erf_of(vec x) {
  x = at_most(at_least(x, all(-4)), all(4));
  vec s = x * x;
  vec p = all(-2.72614225801306e-10f);
  p = fused(p, s, all(2.77068142495902e-08f));
  p = fused(p, s, all(-2.10102402082508e-06f));
  p = fused(p, s, all(-5.69250639462346e-05f));
  p = fused(p, s, all(-7.34990630326855e-04f));
  p = fused(p, s, all(-2.95459980854025e-03f));
  p = fused(p, s, all(-1.60960333262415e-02f));
  vec q = all(-1.45660718464996e-05f);
  q = fused(q, s, all(-2.13374055278905e-04f));
  q = fused(q, s, all(-1.68282697438203e-03f));
  q = fused(q, s, all(-7.37332916720468e-03f));
  q = fused(q, s, all(-1.42647390514189e-02f));
  return x * p / q;
}

INLINE vec gelu_of(vec x) {
  vec half = 0.5f * x;
  return fused(half, erf_of(x * 0.70710678f), half);
}

INLINE vec activation_of(vec x, enum activation activation) {
  switch (activation) {
    case ACTIVATION_SILU:
      return swish_of(x, 1);
    case ACTIVATION_GELU:
      return gelu_of(x);
    case ACTIVATION_QUICK_GELU:
      return swish_of(x, 1.702f);
    case ACTIVATION_RELU:
      return at_least(x, all(0));
    case ACTIVATION_SOFT_CLAMP:
      return 3.0f - 6.0f / (1.0f + exp2_of(x * (1.44269504f * 2 / 3)));
    case ACTIVATION_NONE:
      break;
  }
  return x;
}

#endif
