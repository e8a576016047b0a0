/* sixteen.h - f16 and bf16 from and to f32, rounded to nearest even, and what both share. Sums and
 * products of two such numbers are right when made in f32 and rounded again: f32 has more than
 * twice their digits and two (Figueroa 1995).
 */
#ifndef DARKROOM_EMULATION_SIXTEEN_H
#define DARKROOM_EMULATION_SIXTEEN_H

#include <cmath>
#include <cstring>

#include "emulation/numbers.h"
#include "emulation/types.h"
#include "emulation/warp.h"

namespace emulation {

static inline uint16_t f16_from(float value) {
  uint32_t bits = emulation_bits<uint32_t>(value);
  uint32_t sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) {
    return 0x7fff; /* CUDA's NaN */
  }
  if (size >= 0x477ff000u) { /* from 65520 on: rounds to infinity */
    return static_cast<uint16_t>(sign | 0x7c00u);
  }
  if (size < 0x38800000u) { /* below 2^-14: a fixed point of 2^-24 */
    float scaled = emulation_bits<float>(size) * 16777216.0f;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(rintf(scaled)));
  }
  uint32_t rounded = size + 0xfffu + (size >> 13 & 1u);
  return static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

static inline float f16_to(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = bits >> 10 & 31u, fraction = bits & 1023u;
  if (exponent == 31) {
    return emulation_bits<float>(sign | 0x7f800000u | fraction << 13);
  }
  if (exponent == 0) {
    float size = static_cast<float>(fraction) / 16777216.0f;
    return sign != 0 ? -size : size;
  }
  return emulation_bits<float>(sign | (exponent + 112u) << 23 | fraction << 13);
}

static inline uint16_t bf16_from(float value) {
  uint32_t bits = emulation_bits<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return 0x7fff;
  }
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
static inline float bf16_to(uint16_t bits) {
  return emulation_bits<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace emulation

/* The types: `one` with its bits, `two` of them side by side, aligned to 4 bytes. Uninitialised as
 * CUDA's are. */
#define EMULATION_SIXTEEN(one, two, from_float, to_float)                           \
  struct __align__(2) one##_raw {                                                   \
    unsigned short x;                                                               \
  };                                                                                \
  struct __align__(2) one {                                                         \
    unsigned short bits;                                                            \
    one() = default;                                                                \
    one(const one##_raw &raw) : bits(raw.x) {}                                      \
    one(float value) : bits(emulation::from_float(value)) {}                        \
    one(double value) : bits(emulation::from_float(static_cast<float>(value))) {}   \
    one(int value) : bits(emulation::from_float(static_cast<float>(value))) {}      \
    operator float() const { return emulation::to_float(bits); }                    \
    operator one##_raw() const { return {bits}; }                                   \
    one &operator+=(one other) { return *this = one(float(*this) + float(other)); } \
    one &operator-=(one other) { return *this = one(float(*this) - float(other)); } \
    one &operator*=(one other) { return *this = one(float(*this) * float(other)); } \
  };                                                                                \
  static inline one operator+(one a, one b) { return one(float(a) + float(b)); }    \
  static inline one operator-(one a, one b) { return one(float(a) - float(b)); }    \
  static inline one operator*(one a, one b) { return one(float(a) * float(b)); }    \
  static inline one operator/(one a, one b) { return one(float(a) / float(b)); }    \
  static inline one operator-(one a) { return one(-float(a)); }                     \
  static inline bool operator==(one a, one b) { return float(a) == float(b); }      \
  static inline bool operator!=(one a, one b) { return float(a) != float(b); }      \
  static inline bool operator<(one a, one b) { return float(a) < float(b); }        \
  static inline bool operator>(one a, one b) { return float(a) > float(b); }        \
  static inline bool operator<=(one a, one b) { return float(a) <= float(b); }      \
  static inline bool operator>=(one a, one b) { return float(a) >= float(b); }      \
  struct __align__(4) two {                                                         \
    one x, y;                                                                       \
    two() = default;                                                                \
    two(one low, one high) : x(low), y(high) {}                                     \
  }

/* Functions that CUDA has for both under the same name. */
#define EMULATION_SIXTEEN_FUNCTIONS(one, two)                                                 \
  static inline one __hadd(one a, one b) { return a + b; }                                    \
  static inline one __hsub(one a, one b) { return a - b; }                                    \
  static inline one __hmul(one a, one b) { return a * b; }                                    \
  static inline one __hdiv(one a, one b) { return a / b; }                                    \
  static inline one __hneg(one a) { return -a; }                                              \
  static inline one __habs(one a) { return one(fabsf(a)); }                                   \
  static inline one __hfma(one a, one b, one c) {                                             \
    return one(static_cast<float>(double(float(a)) * double(float(b)) + double(float(c))));   \
  }                                                                                           \
  static inline one __hmax(one a, one b) { return one(fmaxf(a, b)); }                         \
  static inline one __hmin(one a, one b) { return one(fminf(a, b)); }                         \
  static inline bool __hisnan(one a) { return isnan(float(a)); }                              \
  static inline int __hisinf(one a) { return isinf(float(a)) ? (float(a) > 0 ? 1 : -1) : 0; } \
  static inline bool __hlt(one a, one b) { return a < b; }                                    \
  static inline bool __hgt(one a, one b) { return a > b; }                                    \
  static inline bool __heq(one a, one b) { return a == b; }                                   \
  static inline two __hadd2(two a, two b) { return two(a.x + b.x, a.y + b.y); }               \
  static inline two __hsub2(two a, two b) { return two(a.x - b.x, a.y - b.y); }               \
  static inline two __hmul2(two a, two b) { return two(a.x * b.x, a.y * b.y); }               \
  static inline two __hfma2(two a, two b, two c) {                                            \
    return two(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y));                                 \
  }                                                                                           \
  static inline two __hmax2(two a, two b) { return two(__hmax(a.x, b.x), __hmax(a.y, b.y)); } \
  static inline float __low2float(two a) { return float(a.x); }                               \
  static inline float __high2float(two a) { return float(a.y); }                              \
  static inline two __lowhigh2highlow(two a) { return two(a.y, a.x); }

#endif
