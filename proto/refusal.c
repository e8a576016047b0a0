/* refusal.c - filling in and naming refusals. */
#include "proto/refusal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"

static void set_text(char *to, size_t bytes, const char *from) {
  snprintf(to, bytes, "%s", from != NULL ? from : "");
}

enum status refuse(struct refusal *why, Darkroom__V1__ErrorCode code, const char *field,
                   const char *limit, const char *format, ...) {
  struct refusal refusal = {.code = code};
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(refusal.message, sizeof refusal.message, format, arguments);
  va_end(arguments);
  text_clean(refusal.message); /* names from files and strangers, cut */
  set_text(refusal.field, sizeof refusal.field, field);
  set_text(refusal.limit, sizeof refusal.limit, limit);
  if (why != NULL) {
    *why = refusal;
  }
  return fail_field(BAD_INPUT, refusal.field, "%s", refusal.message);
}

/* Error's fields are not const in protobuf-c, but packing only reads them. An ERROR always has a
 * code: one that nobody set is a fault of ours, and a client can tell it from a refusal. */
Darkroom__V1__Error refusal_error(const struct refusal *why) {
  Darkroom__V1__Error error = DARKROOM__V1__ERROR__INIT;
  error.has_code = 1;
  error.code = why->code != 0 ? why->code : DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL;
  error.message = (char *)why->message;
  error.field = why->field[0] != '\0' ? (char *)why->field : NULL;
  error.limit = why->limit[0] != '\0' ? (char *)why->limit : NULL;
  error.has_retry_after_ms = why->retry_after_ms > 0;
  error.retry_after_ms = why->retry_after_ms;
  return error;
}

void refusal_from_error(const Darkroom__V1__Error *error, struct refusal *why) {
  *why = (struct refusal){
      .code = error->has_code ? error->code : DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL,
      .retry_after_ms = error->retry_after_ms};
  set_text(why->field, sizeof why->field, error->field);
  set_text(why->message, sizeof why->message, error->message);
  set_text(why->limit, sizeof why->limit, error->limit);
}

#define NAME(id, text) [DARKROOM__V1__ERROR_CODE__ERROR_##id] = text

static const char *const code_names[] = {
    NAME(MALFORMED, "malformed"),
    NAME(VERSION, "version"),
    NAME(VERB, "verb"),
    NAME(FIELD, "field"),
    NAME(UNKNOWN_MODEL, "unknown_model"),
    NAME(UNKNOWN_SAMPLER, "unknown_sampler"),
    NAME(NOT_FOUND, "not_found"),
    NAME(CONFLICT, "conflict"),
    NAME(UNAVAILABLE, "unavailable"),
    NAME(EXHAUSTED, "exhausted"),
    NAME(STALE, "stale"),
    NAME(TERMINAL, "terminal"),
    NAME(ENGINE, "engine"),
    NAME(NUMERIC, "numeric"),
    NAME(STORE, "store"),
    NAME(WORKER_LOST, "worker_lost"),
    NAME(WEIGHTS, "weights"),
    NAME(INTERNAL, "internal"),
    NAME(INPUT, "input"),
    NAME(FORBIDDEN, "forbidden"),
};

const char *refusal_code_name(Darkroom__V1__ErrorCode code) {
  size_t index = (size_t)code;
  bool known = index < sizeof code_names / sizeof code_names[0] && code_names[index] != NULL;
  return known ? code_names[index] : "unknown";
}
