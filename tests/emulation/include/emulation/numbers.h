/* numbers.h - arithmetic that kernels call by CUDA's names. The fast variants are the exact ones
 * here: nothing may depend on their error.
 */
#ifndef DARKROOM_EMULATION_NUMBERS_H
#define DARKROOM_EMULATION_NUMBERS_H

#include <algorithm>
#include <cmath>
#include <cstring>

#include "emulation/types.h"

using std::isfinite;
using std::isinf;
using std::isnan;

static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678118654752440f); }
/* The C library has these names for itself. */
#define __expf expf
#define __exp10f exp10f
#define __logf logf
#define __log2f log2f
#define __log10f log10f
#define __sinf sinf
#define __cosf cosf
#define __tanf tanf
#define __powf powf
#define __tanhf tanhf

static inline float __fdividef(float x, float y) { return x / y; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fsub_rn(float x, float y) { return x - y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fdiv_rn(float x, float y) { return x / y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
static inline void sincospif(float x, float *sine, float *cosine) {
  *sine = sinf(3.14159265358979323846f * x);
  *cosine = cosf(3.14159265358979323846f * x);
}

template <typename To, typename From>
static inline To emulation_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
static inline int __float_as_int(float x) { return emulation_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return emulation_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return emulation_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return emulation_bits<float>(x); }

/* Rounded half to even; what does not fit becomes the nearest end, NaN 0. */
static inline int __float2int_rn(float x) {
  if (!(x == x)) {
    return 0;
  }
  float r = rintf(x);
  return r >= 2147483648.0f ? INT32_MAX : r < -2147483648.0f ? INT32_MIN : static_cast<int>(r);
}
static inline int __float2int_rz(float x) { return __float2int_rn(truncf(x)); }
static inline int __float2int_rd(float x) { return __float2int_rn(floorf(x)); }
static inline int __float2int_ru(float x) { return __float2int_rn(ceilf(x)); }
static inline unsigned __float2uint_rn(float x) {
  float r = rintf(x);
  return !(r > 0) ? 0u : r >= 4294967296.0f ? UINT32_MAX : static_cast<unsigned>(r);
}
static inline unsigned __float2uint_rz(float x) { return __float2uint_rn(truncf(x)); }
static inline float __int2float_rn(int x) { return static_cast<float>(x); }
static inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(x) * y >> 64);
}

/* CUDA's min and max take mixed types; a NaN gives the other number, as fminf has it. */
template <typename A, typename B>
static inline auto min(A a, B b) -> decltype(a + b) {
  return b < a || a != a ? static_cast<decltype(a + b)>(b) : static_cast<decltype(a + b)>(a);
}
template <typename A, typename B>
static inline auto max(A a, B b) -> decltype(a + b) {
  return a < b || a != a ? static_cast<decltype(a + b)>(b) : static_cast<decltype(a + b)>(a);
}

#endif
