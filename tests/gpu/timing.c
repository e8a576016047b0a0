/* timing.c - see timing.h. */
#include "tests/gpu/timing.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void series_add(struct series *series, double value) {
  if (series->count < SERIES_MAX) {
    series->value[series->count++] = value;
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double series_at(struct series *series, double share) {
  if (series->count == 0) {
    return NAN;
  }
  qsort(series->value, (size_t)series->count, sizeof series->value[0], ascending);
  int place = (int)(share * series->count);
  return series->value[place < series->count ? place : series->count - 1];
}

double milliseconds_since(int64_t begin_ns) { return (double)(clock_ns() - begin_ns) / 1e6; }

double processor_ms(void) {
  struct timespec spent;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return (double)spent.tv_sec * 1000 + (double)spent.tv_nsec / 1e6;
}

double measured_ceiling(const struct gpu_settings *settings, const char *name) {
  char path[4096], line[512];
  double value = NAN;
  snprintf(path, sizeof path, "%s/gpu-bench.ceilings.rows", settings->scratch);
  FILE *file = fopen(path, "re");
  while (file != NULL && isnan(value) && fgets(line, sizeof line, file) != NULL) {
    json_t *row = json_loads(line, 0, NULL);
    const char *told = json_string_value(json_object_get(row, "name"));
    if (told != NULL && strcmp(told, name) == 0) {
      value = json_number_value(json_object_get(row, "value"));
    }
    json_decref(row);
  }
  if (file != NULL) {
    fclose(file);
  }
  return value;
}
