/* cuda_launch_check.h - what a launch left on the device, against what it should be. */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_CUDA_LAUNCH_CHECK_H
#define DARKROOM_TESTS_UNIT_KERNELS_CUDA_LAUNCH_CHECK_H

#include "tests/unit/kernels/cuda_launch.h"

/* Bounds of cases.def; f16 has three digits more than bf16, which is 64 times less. */
static inline double bound_of(enum element element) {
  return element == ELEMENT_F32 ? 1e-10 : element == ELEMENT_BF16 ? 1e-5 : 2e-7;
}

/* Mean squared error over mean square. NaN belongs where NaN is expected and nowhere else. */
static inline double error_of(const float *expected, const float *got, int64_t count) {
  double error = 0, size = 0;
  for (int64_t i = 0; i < count; i++) {
    if (isnan(expected[i]) != isnan(got[i])) {
      return INFINITY;
    }
    if (isnan(expected[i]) || expected[i] == got[i]) {
      size += isfinite(expected[i]) ? (double)expected[i] * expected[i] : 0;
      continue;
    }
    double off = (double)got[i] - expected[i];
    error += off * off;
    size += (double)expected[i] * expected[i];
  }
  return error == 0 ? 0 : error / size;
}

static inline void check_error(const char *what, const float *expected, const struct values *got,
                               double bound) {
  float *values = fetch_values(got);
  double error = error_of(expected, values, got->count);
  if (!(error <= bound)) {
    WRONG("%s in %s: error %g, at most %g", what, element_name(got->element), error, bound);
  }
  free(values);
}

/* The same bits as what plain values become when they are rounded to the element. */
static inline void check_exact(const char *what, const float *expected, const struct values *got) {
  size_t each = element_bytes(got->element), bytes = (size_t)got->count * each;
  char *have = malloc(bytes + 1), *want = malloc(bytes + 1);
  assert_non_null(have);
  assert_non_null(want);
  CUDA(cudaMemcpy(have, got->device, bytes, cudaMemcpyDeviceToHost));
  elements_from_f32(got->element, expected, got->count, want);
  for (size_t i = 0; i < bytes; i += each) {
    if (memcmp(have + i, want + i, each) != 0) {
      float value;
      elements_to_f32(got->element, have + i, 1, &value);
      WRONG("%s in %s: value %zu is %.9g, not %.9g", what, element_name(got->element), i / each,
            (double)value, (double)expected[i / each]);
    }
  }
  free(have);
  free(want);
}

static inline void check_bits(const char *what, const void *a, const void *b, size_t bytes) {
  char *left = malloc(bytes + 1), *right = malloc(bytes + 1);
  assert_non_null(left);
  assert_non_null(right);
  CUDA(cudaMemcpy(left, a, bytes, cudaMemcpyDeviceToHost));
  CUDA(cudaMemcpy(right, b, bytes, cudaMemcpyDeviceToHost));
  if (memcmp(left, right, bytes) != 0) {
    WRONG("%s: the bits differ", what);
  }
  free(left);
  free(right);
}

#endif
