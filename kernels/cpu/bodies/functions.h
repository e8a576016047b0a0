/* functions.h - the curves: 2^x, sigmoid, erf, gelu, on whole vectors. */
#ifndef DARKROOM_KERNELS_CPU_BODIES_FUNCTIONS_H
#define DARKROOM_KERNELS_CPU_BODIES_FUNCTIONS_H

#include "kernels/cpu/bodies/vector.h"
#include "kernels/ops.h"

/* 2^x to 2e-7 relative (Taylor to degree 6 on [-1/2, 1/2]) for x <= 127; never less than 2^-126.
 * NaN stays NaN. */
INLINE vec exp2_of(vec x) {
  vec bounded = at_least(x, all(-126));
  vec whole = (bounded + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  vec f = bounded - whole;
  vec p = all(1.54353e-4f);
  p = fused(p, f, all(1.33335581e-3f));
  p = fused(p, f, all(9.61812911e-3f));
  p = fused(p, f, all(5.55041087e-2f));
  p = fused(p, f, all(2.40226507e-1f));
  p = fused(p, f, all(6.93147181e-1f));
  p = fused(p, f, all(1.0f));
  ivec exponent = __builtin_convertvector(whole, ivec);
  return (vec)((ivec)p + (exponent << 23)); /* p is in [0.7, 1.42]: its exponent has room */
}

INLINE vec sigmoid_of(vec x) {
  return 1.0f / (1.0f + exp2_of(at_most(x * -1.44269504f, all(127))));
}

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
      return x * sigmoid_of(x);
    case ACTIVATION_GELU:
      return gelu_of(x);
    case ACTIVATION_QUICK_GELU:
      return x * sigmoid_of(1.702f * x);
    case ACTIVATION_NONE:
      break;
  }
  return x;
}

#endif
