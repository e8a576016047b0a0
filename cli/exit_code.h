/* exit_code.h - how the client leaves: sysexits' numbers where there is one. */
#ifndef DARKROOM_CLI_EXIT_CODE_H
#define DARKROOM_CLI_EXIT_CODE_H

#include <stddef.h>

#include "base/status.h"
#include "proto/refusal.h"

enum exit_code {
  EXIT_CODE_OK = 0,
  EXIT_CODE_JOB = 1,            /* the job ended without its pictures */
  EXIT_CODE_USAGE = 2,          /* the command line, or what it asks for, is wrong */
  EXIT_CODE_NOT_FETCHED = 3,    /* made and stored, but not to be had any more, or not by us */
  EXIT_CODE_NO_JOB = 66,        /* EX_NOINPUT */
  EXIT_CODE_UNAVAILABLE = 69,   /* EX_UNAVAILABLE */
  EXIT_CODE_INTERNAL = 70,      /* EX_SOFTWARE */
  EXIT_CODE_CANNOT_WRITE = 73,  /* EX_CANTCREAT */
  EXIT_CODE_STORE_AWAY = 74,    /* EX_IOERR: made and stored, but the store does not answer */
  EXIT_CODE_AGAIN = 75,         /* EX_TEMPFAIL */
  EXIT_CODE_PROTOCOL = 76,      /* EX_PROTOCOL */
  EXIT_CODE_STORE_REFUSES = 77, /* EX_NOPERM: made and stored, but we may not read it */
  EXIT_CODE_INTERRUPTED = 130,  /* as a shell says for SIGINT */
};

/* The index-th row of the documented table; false past the end. */
struct exit_row {
  enum exit_code code;
  const char *meaning;
};
const struct exit_row *exit_row(size_t index);

/* The code for a broker's refusal. */
enum exit_code exit_code_of(Darkroom__V1__ErrorCode code);

/* Says on stderr why the call failed, and gives the code for its outcome. */
enum exit_code complain(enum status status);

/* The same for a call that may have been refused: then with the code's name, the field and its
 * limit. */
enum exit_code complain_refused(enum status status, const struct refusal *why);

#endif
