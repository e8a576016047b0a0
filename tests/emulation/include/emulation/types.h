/* types.h - CUDA's qualifiers and vector types, with CUDA's alignments: a misaligned access of 16
 * bytes is a fault on a GPU, and UBSan's alignment check finds it here.
 */
#ifndef DARKROOM_EMULATION_TYPES_H
#define DARKROOM_EMULATION_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define __host__
#define __device__
#define __global__
#define __constant__
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(...)
#ifdef __cplusplus
#define __forceinline__ inline __attribute__((always_inline))
/* One section for all shared variables, so that a block finds them poisoned. Blocks run one after
 * another: one copy is enough. Only in functions of internal linkage (README.md). */
#define __shared__ static __attribute__((section("emulated_shared")))
#endif

#define EMULATION_VECTOR1(name, type) \
  struct name {                       \
    type x;                           \
  };                                  \
  typedef struct name name
#define EMULATION_VECTOR2(name, type)       \
  struct __align__(2 * sizeof(type)) name { \
    type x, y;                              \
  };                                        \
  typedef struct name name
#define EMULATION_VECTOR3(name, type) \
  struct name {                       \
    type x, y, z;                     \
  };                                  \
  typedef struct name name
#define EMULATION_VECTOR4(name, type)                                    \
  struct __align__(4 * sizeof(type) < 16 ? 4 * sizeof(type) : 16) name { \
    type x, y, z, w;                                                     \
  };                                                                     \
  typedef struct name name
#define EMULATION_VECTORS(name, type) \
  EMULATION_VECTOR1(name##1, type);   \
  EMULATION_VECTOR2(name##2, type);   \
  EMULATION_VECTOR3(name##3, type);   \
  EMULATION_VECTOR4(name##4, type)

EMULATION_VECTORS(char, signed char);
EMULATION_VECTORS(uchar, unsigned char);
EMULATION_VECTORS(short, short);
EMULATION_VECTORS(ushort, unsigned short);
EMULATION_VECTORS(int, int);
EMULATION_VECTORS(uint, unsigned);
EMULATION_VECTORS(longlong, long long);
EMULATION_VECTORS(ulonglong, unsigned long long);
EMULATION_VECTORS(float, float);
EMULATION_VECTORS(double, double);

#ifdef __cplusplus
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned width = 1, unsigned height = 1, unsigned depth = 1)
      : x(width), y(height), z(depth) {}
};

#define EMULATION_MAKERS(name, type)                                                 \
  static inline name##1 make_##name##1(type x) { return {x}; }                       \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
  static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATION_MAKERS(char, signed char)
EMULATION_MAKERS(uchar, unsigned char)
EMULATION_MAKERS(short, short)
EMULATION_MAKERS(ushort, unsigned short)
EMULATION_MAKERS(int, int)
EMULATION_MAKERS(uint, unsigned)
EMULATION_MAKERS(longlong, long long)
EMULATION_MAKERS(ulonglong, unsigned long long)
EMULATION_MAKERS(float, float)
EMULATION_MAKERS(double, double)
#else
typedef struct dim3 {
  unsigned x, y, z;
} dim3;
#endif

#endif
