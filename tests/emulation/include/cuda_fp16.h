/* cuda_fp16.h - CUDA's half types. */
#ifndef DARKROOM_EMULATION_CUDA_FP16_H
#define DARKROOM_EMULATION_CUDA_FP16_H

#ifdef __cplusplus
#include "emulation/sixteen.h"

EMULATION_SIXTEEN(__half, __half2, f16_from, f16_to);
EMULATION_SIXTEEN_FUNCTIONS(__half, __half2)
typedef __half half;
typedef __half2 half2;

static inline float __half2float(__half x) { return float(x); }
static inline __half __float2half(float x) { return __half(x); }
static inline __half __float2half_rn(float x) { return __half(x); }
static inline __half __double2half(double x) { return __half(x); }
static inline __half2 __float2half2_rn(float x) { return __half2(__half(x), __half(x)); }
static inline __half2 __floats2half2_rn(float x, float y) { return __half2(__half(x), __half(y)); }
static inline __half2 __float22half2_rn(float2 v) { return __half2(__half(v.x), __half(v.y)); }
static inline float2 __half22float2(__half2 v) { return make_float2(float(v.x), float(v.y)); }
static inline __half2 __halves2half2(__half x, __half y) { return __half2(x, y); }
static inline __half2 __half2half2(__half x) { return __half2(x, x); }
static inline __half2 make_half2(__half x, __half y) { return __half2(x, y); }
static inline __half __low2half(__half2 v) { return v.x; }
static inline __half __high2half(__half2 v) { return v.y; }
static inline unsigned short __half_as_ushort(__half x) { return x.bits; }
static inline short __half_as_short(__half x) { return static_cast<short>(x.bits); }
static inline __half __ushort_as_half(unsigned short bits) { return __half(__half_raw{bits}); }
static inline __half __short_as_half(short bits) {
  return __half(__half_raw{static_cast<unsigned short>(bits)});
}
static inline __half hexp(__half x) { return __half(expf(x)); }
static inline __half hsqrt(__half x) { return __half(sqrtf(x)); }
#endif

#endif
