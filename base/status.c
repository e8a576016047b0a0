/* status.c - the per-thread reason of the last failure. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char reason[FAIL_REASON_MAX];
static _Thread_local char field_name[FAIL_FIELD_MAX];

/* The arguments may point into the old reason ("%s: ...", fail_reason()), so it is written beside
 * it first. */
void fail_record(const char *field, const char *format, ...) {
  char fresh[FAIL_REASON_MAX];
  char fresh_field[FAIL_FIELD_MAX];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fresh, sizeof fresh, format, arguments);
  va_end(arguments);
  snprintf(fresh_field, sizeof fresh_field, "%s", field == NULL ? "" : field);
  snprintf(reason, sizeof reason, "%s", fresh);
  snprintf(field_name, sizeof field_name, "%s", fresh_field);
}

const char *fail_reason(void) { return reason; }

const char *fail_field_name(void) { return field_name; }

const char *status_name(enum status status) {
  static const char *const names[] = {
      [OK] = "OK",
      [BAD_INPUT] = "BAD_INPUT",
      [UNAVAILABLE] = "UNAVAILABLE",
      [EXHAUSTED] = "EXHAUSTED",
      [BROKEN] = "BROKEN",
  };
  return names[status];
}
