/* exit_code.h - how every program of darkroom leaves: one convention, sysexits' numbers where there
 * is one.
 *
 * Whoever starts a program decides by its code what to do: 64, 65 and 78 are not mended by starting
 * it again, 69 and 75 may be, 70 is a fault to report. Each program shows in --help those that it
 * uses, with what they mean there (settings.h). Below 64: a program's own words for what became of
 * what it was asked.
 */
#ifndef DARKROOM_BASE_EXIT_CODE_H
#define DARKROOM_BASE_EXIT_CODE_H

enum exit_code {
  EXIT_CODE_OK = 0,
  EXIT_CODE_JOB = 1,            /* client: the job ended without its images */
  EXIT_CODE_MISMATCH = 1,       /* broker: an audit found something */
  EXIT_CODE_NOT_FETCHED = 3,    /* client: made and stored, but not to be had any more */
  EXIT_CODE_USAGE = 64,         /* EX_USAGE: the command line or a setting is wrong */
  EXIT_CODE_DATA = 65,          /* EX_DATAERR: what was to be read is not what it should be */
  EXIT_CODE_NO_INPUT = 66,      /* EX_NOINPUT: what was named is not there */
  EXIT_CODE_UNAVAILABLE = 69,   /* EX_UNAVAILABLE: something outside is away or taken */
  EXIT_CODE_INTERNAL = 70,      /* EX_SOFTWARE: a fault of the program, or memory ran out */
  EXIT_CODE_CANNOT_WRITE = 73,  /* EX_CANTCREAT: the output cannot be written */
  EXIT_CODE_IO = 74,            /* EX_IOERR: reading or writing failed on the way */
  EXIT_CODE_AGAIN = 75,         /* EX_TEMPFAIL: not now */
  EXIT_CODE_PROTOCOL = 76,      /* EX_PROTOCOL: the other side speaks another version */
  EXIT_CODE_NOT_PERMITTED = 77, /* EX_NOPERM */
  EXIT_CODE_REFUSED = 78,       /* EX_CONFIG: files, models, Redis, the store, or this machine */
  EXIT_CODE_HANGUP = 129,       /* 128 + the signal's number, as a shell says */
  EXIT_CODE_INTERRUPTED = 130,  /* the same for SIGINT */
  EXIT_CODE_CLOSED_PIPE = 141,  /* for SIGPIPE: the reader of stdout had seen enough */
  EXIT_CODE_TERMINATED = 143,   /* for SIGTERM */
};

/* One row of a program's table, for --help. */
struct exit_row {
  enum exit_code code;
  const char *meaning; /* in this program */
};

#endif
