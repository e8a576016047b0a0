/* report.c - see report.h. */
#include "tests/gpu/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct report {
  FILE *file;
  int64_t end_ns;
};

enum status report_open(const char *path, double seconds, struct report **out) {
  struct report *report = calloc(1, sizeof *report);
  if (report == NULL) {
    return fail(EXHAUSTED, "no memory for a report");
  }
  report->end_ns = clock_ns() + (int64_t)(seconds * 1e9);
  report->file = fopen(path, "ae");
  if (report->file == NULL) {
    free(report);
    return fail(UNAVAILABLE, "%s: %s", path, strerror(errno));
  }
  *out = report;
  return OK;
}

void report_close(struct report **report) {
  if (*report != NULL) {
    fclose((*report)->file);
    free(*report);
    *report = NULL;
  }
}

/* Takes the row over. A row that could not be written is worth a loud end: its part would seem to
 * have passed. */
static void tell(struct report *report, json_t *row) {
  if (row == NULL || json_dumpf(row, report->file, JSON_COMPACT) != 0 ||
      fputc('\n', report->file) == EOF || fflush(report->file) != 0) {
    fprintf(stderr, "a row of the report cannot be written\n");
    exit(1);
  }
  json_decref(row);
  fflush(stdout);
}

/* JSON has no NaN: null then. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

void report_value(struct report *report, const char *name, double value, const char *unit) {
  printf("  %-44s %.4g %s\n", name, value, unit);
  tell(report, json_pack("{ss so ss}", "name", name, "value", number(value), "unit", unit));
}

void report_detail(struct report *report, const char *name, double ms, const char *words) {
  tell(report,
       json_pack("{ss so ss ss}", "name", name, "value", number(ms), "unit", "ms", "text", words));
}

void report_bound(struct report *report, const char *name, double worst, double allowed) {
  bool holds = worst <= allowed;
  if (!holds) {
    printf("  %-44s FAIL: %.3g, allowed %.3g\n", name, worst, allowed);
  }
  tell(report, json_pack("{ss sb so so}", "name", name, "holds", holds, "worst", number(worst),
                         "allowed", number(allowed)));
}

void report_holds(struct report *report, const char *name, bool holds, const char *why) {
  if (!holds) {
    printf("  %-44s FAIL: %s\n", name, why);
  }
  tell(report, json_pack("{ss sb ss}", "name", name, "holds", holds, "why", holds ? "" : why));
}

void report_text(struct report *report, const char *name, const char *text) {
  printf("  %-44s %s\n", name, text);
  tell(report, json_pack("{ss ss}", "name", name, "text", text));
}

void report_skip(struct report *report, const char *why) {
  printf("  skipped: %s\n", why);
  tell(report, json_pack("{ss ss}", "name", "skipped", "skip", why));
}

double report_seconds_left(const struct report *report) {
  return (double)(report->end_ns - clock_ns()) / 1e9;
}

void report_must(struct report *report, const char *what, enum status status) {
  if (status != OK) {
    char why[FAIL_REASON_MAX + 32];
    snprintf(why, sizeof why, "%s: %s", status_name(status), fail_reason());
    report_holds(report, what, false, why);
    exit(1);
  }
}
