/* asserts.h - cmocka, and what tests of fallible calls assert. */
#ifndef DARKROOM_TESTS_UNIT_MODEL_ASSERTS_H
#define DARKROOM_TESTS_UNIT_MODEL_ASSERTS_H

#include "base/status.h"
/* cmocka wants the first three, and its macro `fail` would break base/status.h below it */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#define assert_ok(call)                                        \
  do {                                                         \
    enum status status_ = (call);                              \
    if (status_ != OK) {                                       \
      fail_msg("%s: %s", status_name(status_), fail_reason()); \
    }                                                          \
  } while (0)
/* The call fails with BAD_INPUT and a reason that contains text. */
#define assert_refused(call, text)                              \
  do {                                                          \
    assert_int_equal(call, BAD_INPUT);                          \
    if (strstr(fail_reason(), text) == NULL) {                  \
      fail_msg("\"%s\" is not in \"%s\"", text, fail_reason()); \
    }                                                           \
  } while (0)

#endif
