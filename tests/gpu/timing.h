/* timing.h - medians, and the ceilings that an earlier part of the same run measured. */
#ifndef DARKROOM_TESTS_GPU_TIMING_H
#define DARKROOM_TESTS_GPU_TIMING_H

#include <stdint.h>

#include "tests/gpu/part.h"

enum { SERIES_MAX = 256 };
struct series {
  int count;
  double value[SERIES_MAX];
};
/* Beyond SERIES_MAX nothing is added. */
void series_add(struct series *series, double value);
/* share 0.5: the median; NAN of none. Sorts. */
double series_at(struct series *series, double share);

double milliseconds_since(int64_t begin_ns);
/* Processor time of this process, all threads. */
double processor_ms(void);

/* A figure of the part "ceilings" ("copy", "matrix.f16"), NAN where it was not measured. */
double measured_ceiling(const struct gpu_settings *settings, const char *name);

#endif
