/* trouble.h - what stands outside between a finished picture and its store: the store itself, and
 * the spool where it waits. One state each for all pictures, never a job's.
 */
#ifndef DARKROOM_WORKER_TROUBLE_H
#define DARKROOM_WORKER_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define TROUBLE_BYTES_MAX 400

/* A store that does not take what it is given is asked by one picture at a time, at growing
 * intervals. */
struct store_watch {
  bool away;    /* what was asked of it last did not succeed */
  bool refused; /* because it answers, and says no */
  bool proven;  /* it has taken something in this life of the worker */
  bool asking;  /* a check or the one picture is out */
  int tries;
  int64_t due_ms;
  char words[TROUBLE_BYTES_MAX]; /* while away: why, as it said it */
};

/* It took what it was given. */
void store_answered(struct store_watch *store);
/* It did not: status, and reason in its own words; it is asked again after retry_after_ms at least.
 */
void store_failed(struct store_watch *store, enum status status, const char *reason,
                  int64_t retry_after_ms, int64_t now_ms);

/* A spool that could not take a picture: no more work is taken while one is only in memory. */
struct spool_watch {
  bool full;
  char words[TROUBLE_BYTES_MAX];
};

void spool_watch_told(struct spool_watch *spool, bool spooled, const char *reason);

/* One line of what keeps pictures from their store, "" when nothing does. The spool comes first: it
 * is what stops the worker. */
void trouble_write(const struct store_watch *store, const struct spool_watch *spool,
                   char text[TROUBLE_BYTES_MAX]);

#endif
