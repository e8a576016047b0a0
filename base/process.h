/* process.h - the two ends of every program: what main() does first, and what it does last.
 *
 * A program is started by shells, cron, supervisors and containers, and not all of them give it
 * three open descriptors, a reader at the end of its pipe, or more than a handful of files.
 */
#ifndef DARKROOM_BASE_PROCESS_H
#define DARKROOM_BASE_PROCESS_H

#include <stdbool.h>

#include "base/exit_code.h"
#include "base/status.h"

/* Before anything else opens a descriptor. /dev/null takes the place of a standard descriptor that
 * is closed, so that no file, socket or pipe of ours can get its number and be written to by
 * mistake. SIGPIPE is ignored: a lost reader is an error of the write. argv is kept. EXHAUSTED: not
 * even that can be opened. */
enum status process_begin(char **argv);

/* What main() was given, and a path that executes this same program again, also where /proc is
 * missing: for a parent that starts copies of itself. Borrowed, until exit. */
char *const *process_arguments(void);
const char *process_path(void);

/* Whether 0, 1 or 2 was closed when the program was started. */
bool process_lacked(int descriptor);

/* Raises the number of files this process may have open to what the machine allows (ulimit -Hn);
 * BAD_INPUT when that is fewer than wanted: libzmq aborts where it gets no descriptor. */
enum status process_want_files(int wanted);

/* At the end: what was printed reaches stdout, or the code says that it did not. A reader that has
 * gone away (`darkroom list | head -1`) has seen enough: EXIT_CODE_CLOSED_PIPE, without a word.
 * Otherwise the reason goes to stderr, and a code that would have been 0 is
 * EXIT_CODE_CANNOT_WRITE. program: its name, for the message. */
enum exit_code process_end(const char *program, enum exit_code code);

#endif
