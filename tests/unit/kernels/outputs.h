/* outputs.h - what a case gives on a device, as bytes, for tests that compare. */
#ifndef DARKROOM_TESTS_UNIT_KERNELS_OUTPUTS_H
#define DARKROOM_TESTS_UNIT_KERNELS_OUTPUTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "kernels/backend.h"
#include "tests/cases/cases.h"
#include "tests/unit/kernels/wrong.h"

enum { BATCH_MAX = 16 };

static const int in_order[BATCH_MAX] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* An output as it lies in the device's memory. */
struct output {
  struct tensor shape;
  char *bytes;
};

static inline const char *label(const struct device *device, const struct op_case *c) {
  static char text[128];
  snprintf(text, sizeof text, "%s %s on %s %s, %d threads", c->op, c->name, device_name(device),
           element_name(device_element_for(device, c->precision)), device_threads(device));
  return text;
}

static inline void must(enum status status, const struct device *device, const struct op_case *c) {
  if (status != OK) {
    WRONG("%s: %s", label(device, c), fail_reason());
  }
}

/* The output of a case for these rows. The caller frees its bytes. */
static inline struct output output_of(struct device *device, const struct op_case *c, int batch,
                                      const int *identities) {
  struct case_run *run = NULL;
  struct output output;
  must(case_open(device, c, batch, identities, &run), device, c);
  must(case_execute(run), device, c);
  output.shape = *case_output(run);
  size_t bytes = tensor_bytes(&output.shape);
  output.bytes = malloc(bytes);
  assert_non_null(output.bytes);
  must(device_get(device, &output.shape, output.bytes, bytes), device, c);
  case_close(&run);
  return output;
}

#endif
