/* refusal.h - why a request is refused: a named code, the field and its limit. What an Error
 * message carries. */
#ifndef DARKROOM_PROTO_REFUSAL_H
#define DARKROOM_PROTO_REFUSAL_H

#include <stdint.h>

#include "base/status.h"
#include "proto/darkroom.pb-c.h"

struct refusal {
  Darkroom__V1__ErrorCode code;
  char field[32];    /* the field of the message that is wrong, "" if none */
  char message[192]; /* one line for people */
  char limit[160];   /* "1..1000", "multiple of 8", ...; "" if none */
  uint64_t retry_after_ms;
};

/* Fills *why and returns BAD_INPUT through fail_field(), so that `return refuse(...)` reads as one
 * thought. field and limit may be NULL. why may be NULL: then only the reason of the thread is set.
 */
enum status refuse(struct refusal *why, Darkroom__V1__ErrorCode code, const char *field,
                   const char *limit, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* An Error message that borrows the texts of *why. */
Darkroom__V1__Error refusal_error(const struct refusal *why);

/* Copies an Error into *why, texts cut to fit; used by clients. */
void refusal_from_error(const Darkroom__V1__Error *error, struct refusal *why);

/* "malformed", "field", "unknown_model", ...; "unknown" for a number that is not in the contract.
 */
const char *refusal_code_name(Darkroom__V1__ErrorCode code);

#endif
