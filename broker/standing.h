/* standing.h - which calls to Redis work, and which do not: since when, and with what words.
 *
 * A script that was refused stays named until a call of it works again, or everything has been
 * tried again since (trial.lua) and works. What failed by a fault of ours the trial cannot show:
 * that is forgotten when it has not failed again for STANDING_FORGET_MS.
 */
#ifndef DARKROOM_BROKER_STANDING_H
#define DARKROOM_BROKER_STANDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/redis_error.h"
#include "broker/scripts.h"

/* One more than the scripts: the events, which are no script. */
enum { STANDING_EVENTS = SCRIPTS_COUNT, STANDING_ROWS };

#define STANDING_FORGET_MS 10000
#define STANDING_WORDS_BYTES_MAX 160

struct standing_row {
  int64_t since_ms, last_ms; /* of the refusals; 0 since the last call worked */
  enum redis_error_class class;
  char words[STANDING_WORDS_BYTES_MAX]; /* Redis's own */
};

/* Start with {0}. */
struct standing {
  struct standing_row row[STANDING_ROWS];
};

/* index: a script, or STANDING_EVENTS. */
void standing_worked(struct standing *standing, size_t index);
void standing_refused(struct standing *standing, size_t index, enum redis_error_class class,
                      const char *words);

/* True when the last call of each kind worked. Otherwise writes one line: what does not work, for
 * how long, and why; the one that is refused for the longest time, and how many more. */
bool standing_is_good(const struct standing *standing, char *line, size_t bytes);

#endif
