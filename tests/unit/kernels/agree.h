/* agree.h - a case's output on a device against ref's, and a row's bits alone against its bits
 * among others. */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_AGREE_H
#define DARKROOM_TESTS_UNIT_KERNELS_AGREE_H

#include "tests/unit/kernels/outputs.h"

#define F32_ERROR 1e-10
#define BF16_ERROR 1e-5 /* rounding the result alone gives 2.7e-6 */
#define F16_FINER 32    /* f16 has 3 bits more, which is 64 times less of a squared error */

static inline float value_of(const struct output *output, int64_t i) {
  const char *at = output->bytes + i * (int64_t)element_bytes(output->shape.element);
  if (output->shape.element == ELEMENT_U8) {
    return *(const uint8_t *)at;
  }
  if (output->shape.element == ELEMENT_I32) {
    return (float)*(const int32_t *)(const void *)at;
  }
  float value;
  elements_to_f32(output->shape.element, at, 1, &value);
  return value;
}

/* Sum of squared differences over sum of squares. */
static inline double error_of(const struct output *ours, const struct output *ref) {
  double off = 0, size = 0;
  int64_t count = tensor_count(&ref->shape);
  assert_int_equal(tensor_count(&ours->shape), count);
  for (int64_t i = 0; i < count; i++) {
    double wanted = value_of(ref, i), got = value_of(ours, i);
    off += (got - wanted) * (got - wanted);
    size += wanted * wanted;
  }
  return off / size;
}

static inline double allowed(const struct device *device, const struct op_case *c) {
  enum element element = device_element_for(device, c->precision);
  if (element == ELEMENT_F32) {
    return c->f32_error != 0 ? c->f32_error : F32_ERROR;
  }
  double bf16 = c->bf16_error != 0 ? c->bf16_error : BF16_ERROR;
  return element == ELEMENT_F16 ? bf16 / F16_FINER : bf16;
}

static inline void compare_with(const struct output *ref, struct device *device,
                                const struct op_case *c) {
  struct output ours = output_of(device, c, c->batch, in_order);
  double error = error_of(&ours, ref);
  if (getenv("SHOW_ERRORS") != NULL) {
    print_message("%-60s %.2g\n", label(device, c), error);
  }
  if (!(error <= allowed(device, c))) {
    WRONG("%s: error %g", label(device, c), error);
  }
  free(ours.bytes);
}

/* Row 0's bits alone, against its bits at `place` among others. */
static inline void compare_among(struct device *device, const struct op_case *c, int batch,
                                 int place, const char *alone) {
  int identities[BATCH_MAX];
  for (int b = 0; b < batch; b++) {
    identities[b] = b == place ? 0 : b + 1;
  }
  struct output together = output_of(device, c, batch, identities);
  size_t row = tensor_bytes(&together.shape) / (size_t)batch;
  if (memcmp(together.bytes + (size_t)place * row, alone, row) != 0) {
    WRONG("%s: row %d of %d differs from the row alone", label(device, c), place, batch);
  }
  free(together.bytes);
}

#endif
