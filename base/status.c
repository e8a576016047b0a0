/* status.c - the per-thread reason of the last failure. */
#include "base/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char reason[FAIL_REASON_MAX];
static _Thread_local char field_name[FAIL_FIELD_MAX];

/* The arguments may point into the old reason ("%s: ...", fail_reason()), so it is written beside
 * it first. */
static void record(const char *format, va_list arguments) {
  char fresh[FAIL_REASON_MAX];
  vsnprintf(fresh, sizeof fresh, format, arguments);
  snprintf(reason, sizeof reason, "%s", fresh);
}

enum status fail(enum status outcome, const char *format, ...) {
  assert(outcome != OK);
  va_list arguments;
  va_start(arguments, format);
  record(format, arguments);
  va_end(arguments);
  field_name[0] = '\0';
  return outcome;
}

enum status fail_field(enum status outcome, const char *field, const char *format, ...) {
  assert(outcome != OK);
  va_list arguments;
  va_start(arguments, format);
  record(format, arguments);
  va_end(arguments);
  char fresh[FAIL_FIELD_MAX];
  snprintf(fresh, sizeof fresh, "%s", field);
  snprintf(field_name, sizeof field_name, "%s", fresh);
  return outcome;
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
