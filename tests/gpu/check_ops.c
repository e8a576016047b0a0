/* check_ops.c - every op by itself: against ref, our own kernels against the libraries, and each
 * row against itself in other batches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/check.h"
#include "tests/gpu/subject.h"

/* Of --tiny's cases: one of each op. */
static bool taken(const struct gpu_settings *settings, int index, enum case_place place) {
  const struct op_case *c = &op_cases[index];
  if (!settings->tiny) {
    return c->place == place;
  }
  return c->place == CASE_TEST && (index == 0 || strcmp(op_cases[index - 1].op, c->op) != 0);
}

/* What was not looked at has not passed. */
static bool time_is_over(struct report *report, const struct op_case *c) {
  if (report_seconds_left(report) > 0) {
    return false;
  }
  char why[128];
  snprintf(why, sizeof why, "the time was over before %s.%s", c->op, c->name);
  report_holds(report, "all cases", false, why);
  return true;
}

static void name_of(const struct op_case *c, const char *kind, char *name, size_t bytes) {
  snprintf(name, bytes, "%s.%s.%s", c->op, c->name, kind);
}

/* ---- against ref ---- */

static void compare(struct device *device, const struct op_case *c, const struct output *wanted,
                    struct report *report) {
  char name[128];
  const enum element element = device_element_for(device, c->precision);
  struct output ours = output_of(device, c, c->batch, in_order, report);
  name_of(c, element_name(element), name, sizeof name);
  report_bound(report, name, output_error(&ours, wanted), error_allowed(element, c));
  free(ours.data);
}

void check_ops(const struct gpu_settings *settings, struct report *report) {
  struct device *device = subject_open(settings, settings->device, false, report),
                *ref = subject_open(settings, "ref", false, report);
  for (int i = 0; i < op_case_count; i++) {
    if (!taken(settings, i, CASE_TEST) || op_cases[i].precision != PRECISION_FAST) {
      continue;
    }
    if (time_is_over(report, &op_cases[i])) {
      break;
    }
    struct output wanted = output_of(ref, &op_cases[i], op_cases[i].batch, in_order, report);
    for (int p = 0; p < PRECISION_COUNT; p++) {
      const struct op_case c = case_in(&op_cases[i], (enum precision)p);
      compare(device, &c, &wanted, report);
    }
    free(wanted.data);
  }
  device_close(&ref);
  device_close(&device);
}

/* ---- Stable Diffusion's shapes, too large for ref: two ways to the same numbers ---- */

static void compare_policies(struct device *library, struct device *own, const struct op_case *c,
                             struct report *report) {
  char name[128];
  const enum element element = device_element_for(own, c->precision);
  struct output theirs = output_of(library, c, c->batch, in_order, report),
                ours = output_of(own, c, c->batch, in_order, report);
  name_of(c, element_name(element), name, sizeof name);
  /* each may be off by as much as against ref */
  report_bound(report, name, output_error(&theirs, &ours), 4 * error_allowed(element, c));
  free(theirs.data);
  free(ours.data);
}

void check_large(const struct gpu_settings *settings, struct report *report) {
  struct device *library = subject_open(settings, settings->device, false, report),
                *own = subject_open(settings, settings->device, true, report);
  for (int i = 0; i < op_case_count; i++) {
    if (!taken(settings, i, CASE_BENCH)) {
      continue;
    }
    for (int p = PRECISION_FAST; p <= PRECISION_RANGE; p++) {
      const struct op_case c = case_in(&op_cases[i], (enum precision)p);
      if (time_is_over(report, &c)) {
        goto end;
      }
      compare_policies(library, own, &c, report);
    }
  }
end:
  device_close(&own);
  device_close(&library);
}

/* ---- a row's bits, alone and in batches of 1 to 16 ---- */

static bool same_among(struct device *device, const struct op_case *c, int batch,
                       const struct output *alone, struct report *report) {
  int identities[ROWS_MAX], place = batch * 7 % 16 % batch;
  for (int b = 0; b < batch; b++) {
    identities[b] = b == place ? 0 : b + 1;
  }
  struct output together = output_of(device, c, batch, identities, report);
  size_t row = tensor_bytes(&together.shape) / (size_t)batch;
  bool same = memcmp(together.data + (size_t)place * row, alone->data, row) == 0;
  free(together.data);
  return same;
}

static void check_case_mates(struct device *device, const struct op_case *c,
                             const struct gpu_settings *settings, struct report *report) {
  char name[128], why[128] = "rows";
  int wrong = 0;
  struct output alone = output_of(device, c, 1, in_order, report);
  for (int batch = 2; batch <= (settings->tiny ? 3 : ROWS_MAX); batch++) {
    if (!same_among(device, c, batch, &alone, report)) {
      size_t length = strlen(why);
      snprintf(why + length, sizeof why - length, " %d", batch);
      wrong++;
    }
  }
  snprintf(why + strlen(why), sizeof why - strlen(why), " give other bits than the row alone");
  name_of(c, element_name(device_element_for(device, c->precision)), name, sizeof name);
  report_holds(report, name, wrong == 0, why);
  free(alone.data);
}

void check_mates(const struct gpu_settings *settings, struct report *report) {
  struct device *device = subject_open(settings, settings->device, false, report);
  for (int i = 0; i < op_case_count; i++) {
    if (taken(settings, i, CASE_TEST)) {
      if (time_is_over(report, &op_cases[i])) {
        break;
      }
      check_case_mates(device, &op_cases[i], settings, report);
    }
  }
  device_close(&device);
}

/* ---- for compute-sanitizer: it makes everything many times slower ---- */

void check_few(const struct gpu_settings *settings, struct report *report) {
  struct gpu_settings few = *settings;
  few.tiny = true;
  check_ops(&few, report);
}
