/* status.h - the outcomes of a call that can fail because of the world, and the reason in one line.
 *
 * A function that can fail returns enum status and gives its results through its last parameters.
 * The reason is kept per thread until the next fail(); programmer errors are assert()s instead, and
 * a job's own failure is data.
 */
#ifndef DARKROOM_BASE_STATUS_H
#define DARKROOM_BASE_STATUS_H

#include <stddef.h>

enum status {
  OK = 0,
  BAD_INPUT,   /* never retry: the caller's bytes or arguments are wrong */
  UNAVAILABLE, /* retry: something outside is away for the moment */
  EXHAUSTED,   /* retry elsewhere or smaller: memory, disk, a limit */
  BROKEN,      /* leave the process: the device or a library is in an unknown state */
};

#define FAIL_REASON_MAX 512
#define FAIL_FIELD_MAX 64

/* Records the printf-style reason for this thread and gives outcome back, so that
 * `return fail(BAD_INPUT, "...")` reads as one thought. The field of an earlier failure is
 * forgotten. outcome must not be OK. A macro, so that whoever reads or analyses a caller sees which
 * outcome it is. */
#define fail(outcome, ...) (fail_record(NULL, __VA_ARGS__), fail_outcome(outcome))

/* The same, naming the input field that was wrong ("steps", "model", ...). */
#define fail_field(outcome, field, ...) (fail_record(field, __VA_ARGS__), fail_outcome(outcome))

static inline enum status fail_outcome(enum status outcome) { return outcome; }

/* What both do: keeps the field (NULL for none) and the reason. */
void fail_record(const char *field, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last reason of this thread, "" if none; valid until the thread's next fail(). */
const char *fail_reason(void);

/* The field of the last failure, "" if it named none. */
const char *fail_field_name(void);

/* "OK", "BAD_INPUT", ... for logs. */
const char *status_name(enum status status);

/* Returns from the calling function with the callee's status unless it is OK. The one macro that
 * returns. */
#define TRY(call)                     \
  do {                                \
    enum status try_status_ = (call); \
    if (try_status_ != OK) {          \
      return try_status_;             \
    }                                 \
  } while (0)

#endif
