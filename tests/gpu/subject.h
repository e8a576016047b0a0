/* subject.h - a device that is looked at, and what a row of tests/cases gives on it. */
#ifndef DARKROOM_TESTS_GPU_SUBJECT_H
#define DARKROOM_TESTS_GPU_SUBJECT_H

#include "tests/cases/cases.h"
#include "tests/gpu/part.h"

#define ROWS_MAX 16
/* 0, 1, 2, ... */
extern const int in_order[2 * ROWS_MAX];

/* "cuda:0", or "ref" to judge it by. The part ends when it cannot be opened. own: our own kernels
 * serve everything, also what a library could. */
struct device *subject_open(const struct gpu_settings *settings, const char *name, bool own,
                            struct report *report);

/* A row of the table in another precision than its own. */
struct op_case case_in(const struct op_case *c, enum precision precision);

/* The bytes that a case gives for these rows of a batch. The caller frees data. */
struct output {
  struct tensor shape;
  char *data;
};
struct output output_of(struct device *device, const struct op_case *c, int batch,
                        const int *identities, struct report *report);

/* Sum of squared differences over sum of squares; infinite when a value is not finite. */
double output_error(const struct output *ours, const struct output *wanted);
/* What that may be, for activations of this type. */
double error_allowed(enum element element, const struct op_case *c);

#endif
