/* instructions.cuh - the twin of kernels/cuda/instructions.cuh, which says what each function does:
 * the emulated build finds this file first. The warp's instructions are plain loops over the
 * registers of its 32 lanes, done once all have come; copies are made when they are waited for.
 */
#ifndef DARKROOM_KERNELS_CUDA_INSTRUCTIONS_CUH
#define DARKROOM_KERNELS_CUDA_INSTRUCTIONS_CUH

#include <stdint.h>

#include <cmath>
#include <cstring>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define EMULATION_AT const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define EMULATION_WARP 0xffffffffu

template <class T>
static inline T *dynamic_shared() {
  return reinterpret_cast<T *>(emulation::dynamic_shared());
}

/* Exact here: nothing may depend on the unit's error. What it flushes to 0 is flushed. */
static inline float exp2_fast(float x) {
  const float y = exp2f(x);
  return y < 0x1p-126f ? 0 : y;
}

/* ---- load_matrices ---- */

namespace emulation {

struct MatrixLoad {
  const unsigned char *row; /* this lane's, 16 bytes */
  uint32_t *to;             /* four registers */
};

template <bool TRANSPOSED>
void load_together(void *const lanes[32]) {
  uint16_t values[4][8][8];
  for (int lane = 0; lane < 32; lane++) {
    const auto *load = static_cast<const MatrixLoad *>(lanes[lane]);
    if (load == nullptr) {
      refuse("a warp's instruction lacks lane %d", lane);
    }
    if (reinterpret_cast<uintptr_t>(load->row) % 16 != 0) {
      refuse("load_matrices: lane %d's row does not lie at a multiple of 16", lane);
    }
    memcpy(values[lane / 8][lane % 8], load->row, 16);
  }
  for (int lane = 0; lane < 32; lane++) {
    const int major = lane / 4, minor = lane % 4 * 2;
    for (int i = 0; i < 4; i++) {
      const uint16_t first = TRANSPOSED ? values[i][minor][major] : values[i][major][minor];
      const uint16_t second =
          TRANSPOSED ? values[i][minor + 1][major] : values[i][major][minor + 1];
      static_cast<const MatrixLoad *>(lanes[lane])->to[i] = first | static_cast<uint32_t>(second)
                                                                        << 16;
    }
  }
}

}  // namespace emulation

static inline void load_matrices(uint32_t (&to)[4], const void *row, EMULATION_AT) {
  emulation::MatrixLoad mine = {static_cast<const unsigned char *>(row), to};
  emulation::meet(EMULATION_WARP, &mine, emulation::load_together<false>, file, line);
}

static inline void load_matrices_transposed(uint32_t (&to)[4], const void *row, EMULATION_AT) {
  emulation::MatrixLoad mine = {static_cast<const unsigned char *>(row), to};
  emulation::meet(EMULATION_WARP, &mine, emulation::load_together<true>, file, line);
}

/* ---- multiply_add ---- */

namespace emulation {

struct MatrixProduct {
  float *sum;
  const uint32_t *a;
  uint32_t b[2];
};

template <class T>
float half_of(uint32_t pair, int which) {
  const uint16_t bits = static_cast<uint16_t>(pair >> 16 * which);
  T value;
  memcpy(static_cast<void *>(&value), &bits, sizeof bits);
  return static_cast<float>(value);
}

/* The registers of all lanes as matrices, and back. */
template <class T>
void gather_operands(void *const lanes[32], float (&a)[16][16], float (&b)[8][16]) {
  for (int lane = 0; lane < 32; lane++) {
    const auto *mine = static_cast<const MatrixProduct *>(lanes[lane]);
    if (mine == nullptr) {
      refuse("a warp's instruction lacks lane %d", lane);
    }
    const int g = lane / 4, t = lane % 4 * 2;
    for (int half = 0; half < 2; half++) {
      for (int i = 0; i < 4; i++) {
        a[g + i % 2 * 8][t + i / 2 * 8 + half] = half_of<T>(mine->a[i], half);
      }
      for (int i = 0; i < 2; i++) {
        b[g][t + i * 8 + half] = half_of<T>(mine->b[i], half);
      }
    }
  }
}

template <class T>
void multiply_together(void *const lanes[32]) {
  float a[16][16], b[8][16];
  gather_operands<T>(lanes, a, b);
  for (int lane = 0; lane < 32; lane++) {
    float *sum = static_cast<const MatrixProduct *>(lanes[lane])->sum;
    for (int i = 0; i < 4; i++) {
      const float *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
      float added = 0;
      for (int k = 0; k < 16; k++) {
        added += row[k] * column[k];
      }
      sum[i] += added;
    }
  }
}

}  // namespace emulation

template <class T>
static inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                EMULATION_AT) {
  emulation::MatrixProduct mine = {sum, a, {b0, b1}};
  emulation::meet(EMULATION_WARP, &mine, emulation::multiply_together<T>, file, line);
}

/* ---- copies ---- */

template <int BYTES>
static inline void copy_start(void *shared, const void *from, bool wanted) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "what cp.async can");
  if (reinterpret_cast<uintptr_t>(shared) % BYTES != 0 ||
      reinterpret_cast<uintptr_t>(from) % BYTES != 0) {
    emulation::refuse("copy_start: not at a multiple of %d bytes", BYTES);
  }
  emulation::async_copy(shared, from, BYTES, wanted ? BYTES : 0);
}

static inline void copy_commit() { emulation::async_commit(); }

template <int NEWER>
static inline void copy_wait() {
  emulation::async_wait(NEWER);
}

#undef EMULATION_AT
#undef EMULATION_WARP

#endif
