/* subject.c - see subject.h. */
#include "tests/gpu/subject.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const int in_order[2 * ROWS_MAX] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

struct device *subject_open(const struct gpu_settings *settings, const char *name, bool own,
                            struct report *report) {
  struct device *device = NULL;
  /* two at once must fit, and PyTorch beside them */
  const struct device_settings wanted = {.memory_max =
                                             settings->tiny ? (size_t)256 << 20 : (size_t)12 << 30};
  if (own) {
    setenv("DARKROOM_CUDA_OWN", "1", 1);
  }
  report_must(report, name, device_open(name, &wanted, &device));
  return device;
}

struct op_case case_in(const struct op_case *c, enum precision precision) {
  struct op_case other = *c;
  other.precision = precision;
  return other;
}

struct output output_of(struct device *device, const struct op_case *c, int batch,
                        const int *identities, struct report *report) {
  char what[160];
  struct case_run *run = NULL;
  snprintf(what, sizeof what, "%s.%s.%s on %s", c->op, c->name,
           element_name(device_element_for(device, c->precision)), device_name(device));
  report_must(report, what, case_open(device, c, batch, identities, &run));
  report_must(report, what, case_execute(run));
  struct output output = {.shape = *case_output(run)};
  size_t bytes = tensor_bytes(&output.shape);
  output.data = malloc(bytes);
  if (output.data == NULL) {
    report_must(report, what, fail(EXHAUSTED, "no memory for %zu bytes", bytes));
  }
  report_must(report, what, device_get(device, &output.shape, output.data, bytes));
  case_close(&run);
  return output;
}

static float value_of(const struct output *output, int64_t i) {
  const char *at = output->data + i * (int64_t)element_bytes(output->shape.element);
  float value;
  if (output->shape.element == ELEMENT_U8) {
    return *(const uint8_t *)at;
  }
  if (output->shape.element == ELEMENT_I32) {
    int32_t whole;
    memcpy(&whole, at, sizeof whole);
    return (float)whole;
  }
  elements_to_f32(output->shape.element, at, 1, &value);
  return value;
}

double output_error(const struct output *ours, const struct output *wanted) {
  double off = 0, size = 0;
  int64_t count = tensor_count(&wanted->shape);
  if (tensor_count(&ours->shape) != count) {
    return INFINITY;
  }
  for (int64_t i = 0; i < count; i++) {
    double w = value_of(wanted, i), d = value_of(ours, i) - w;
    if (!isfinite(d)) {
      return INFINITY;
    }
    off += d * d;
    size += w * w;
  }
  return size > 0 ? off / size : off;
}

/* Rounding the result alone costs 2.7e-6 in bf16, a 64th of that in f16, which keeps 3 bits more.
 */
double error_allowed(enum element element, const struct op_case *c) {
  if (element == ELEMENT_F32) {
    return c->f32_error != 0 ? c->f32_error : 1e-10;
  }
  if (c->bf16_error != 0) {
    return c->bf16_error;
  }
  return element == ELEMENT_F16 ? 1e-6 : 1e-5;
}
