/* complaint.c - outcomes and refusals become exit codes in one place. */
#include "cli/complaint.h"

#include <stdbool.h>
#include <stdio.h>

const struct exit_row complaint_exits[] = {
    {EXIT_CODE_OK, "done"},
    {EXIT_CODE_JOB, "the job ended without its images: failed, expired, cancelled, quarantined"},
    {EXIT_CODE_NOT_FETCHED,
     "made and stored, but not fetched to -o: gone, or of an unknown scheme"},
    {EXIT_CODE_USAGE, "the command line or what it asks for is wrong; repeating it will not help"},
    {EXIT_CODE_NO_INPUT, "there is no such job"},
    {EXIT_CODE_UNAVAILABLE, "no broker answers"},
    {EXIT_CODE_INTERNAL, "a fault of the program or of the fleet"},
    {EXIT_CODE_CANNOT_WRITE, "the output cannot be written, or --store, a folder, cannot"},
    {EXIT_CODE_IO,
     "the store does not answer: made, but not fetched to -o; or a file of the job not put there"},
    {EXIT_CODE_AGAIN, "not now: the queue cannot accept; the same command may succeed later"},
    {EXIT_CODE_PROTOCOL, "the broker speaks another version of the protocol"},
    {EXIT_CODE_NOT_PERMITTED,
     "the store refuses, or credentials (AWS_...) are missing: made, but not fetched to -o; or a "
     "file "
     "of the job not put there"},
    {EXIT_CODE_REFUSED, "this machine allows too few open files"},
    {EXIT_CODE_HANGUP, "left by SIGHUP; a job that was submitted goes on"},
    {EXIT_CODE_INTERRUPTED, "interrupted by Ctrl-C"},
    {EXIT_CODE_CLOSED_PIPE, "the reader of stdout went away"},
    {EXIT_CODE_TERMINATED,
     "left by SIGTERM (as timeout sends it); a job that was submitted goes on"},
};

const size_t complaint_exit_count = sizeof complaint_exits / sizeof complaint_exits[0];

#define CODE(id, code) [DARKROOM__V1__ERROR_CODE__ERROR_##id] = (code)

static const enum exit_code refusals[] = {
    CODE(MALFORMED, EXIT_CODE_PROTOCOL),  CODE(VERSION, EXIT_CODE_PROTOCOL),
    CODE(VERB, EXIT_CODE_PROTOCOL),       CODE(FIELD, EXIT_CODE_USAGE),
    CODE(UNKNOWN_MODEL, EXIT_CODE_USAGE), CODE(UNKNOWN_SAMPLER, EXIT_CODE_USAGE),
    CODE(NOT_FOUND, EXIT_CODE_NO_INPUT),  CODE(CONFLICT, EXIT_CODE_USAGE),
    CODE(UNAVAILABLE, EXIT_CODE_AGAIN),   CODE(EXHAUSTED, EXIT_CODE_AGAIN),
    CODE(STALE, EXIT_CODE_JOB),           CODE(TERMINAL, EXIT_CODE_JOB),
    CODE(ENGINE, EXIT_CODE_JOB),          CODE(NUMERIC, EXIT_CODE_JOB),
    CODE(STORE, EXIT_CODE_JOB),           CODE(WORKER_LOST, EXIT_CODE_JOB),
    CODE(WEIGHTS, EXIT_CODE_JOB),         CODE(INTERNAL, EXIT_CODE_INTERNAL),
    CODE(INPUT, EXIT_CODE_JOB),           CODE(FORBIDDEN, EXIT_CODE_NOT_PERMITTED),
};

/* A code from a newer broker is a fault as far as this client can tell. */
enum exit_code exit_code_of(Darkroom__V1__ErrorCode code) {
  size_t index = (size_t)code;
  bool known = index > 0 && index < sizeof refusals / sizeof refusals[0];
  return known ? refusals[index] : EXIT_CODE_INTERNAL;
}

enum exit_code complain(enum status status) {
  static const enum exit_code codes[] = {
      [OK] = EXIT_CODE_OK,
      [BAD_INPUT] = EXIT_CODE_USAGE,
      [UNAVAILABLE] = EXIT_CODE_UNAVAILABLE,
      [EXHAUSTED] = EXIT_CODE_INTERNAL,
      [BROKEN] = EXIT_CODE_INTERNAL,
  };
  if (status != OK) {
    fprintf(stderr, "darkroom: %s\n", fail_reason());
  }
  return codes[status];
}

enum exit_code complain_refused(enum status status, const struct refusal *why) {
  if (status != BAD_INPUT || why->code == 0) {
    return complain(status);
  }
  fprintf(stderr, "darkroom: %s (%s", why->message, refusal_code_name(why->code));
  if (why->field[0] != '\0') {
    fprintf(stderr, "; field %s", why->field);
  }
  if (why->limit[0] != '\0') {
    bool named = why->code == DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL; /* of these */
    fprintf(stderr, named ? "; there are: %s" : "; must be %s", why->limit);
  }
  fprintf(stderr, ")\n");
  return exit_code_of(why->code);
}
