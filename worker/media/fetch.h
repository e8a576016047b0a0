/* fetch.h - a job's files: fetched, held to what the job says of them, prepared, and put into one
 * piece of sealed memory for its engine. */
#ifndef DARKROOM_WORKER_MEDIA_FETCH_H
#define DARKROOM_WORKER_MEDIA_FETCH_H

#include <semaphore.h>

#include "store/reader.h"
#include "worker/media/cache.h"
#include "worker/media/media.h"
#include "worker/media/pace.h"

struct fetch {
  struct reader *reader;             /* this thread's own */
  struct cache *cache;               /* all threads' */
  uint64_t bytes_max;                /* of all files of one job */
  struct pace *pace;                 /* of the transfer under way; NULL: nobody looks at it */
  const enum pace_verdict *given_up; /* why it was, PACE_GOES_ON: it was not */
  sem_t *preparing; /* so many may decode at once, of all who fetch; NULL: any number */
};

/* Does a MEDIA_FETCH once and writes what came of it into the task. UNAVAILABLE: a place is away.
 * EXHAUSTED: it says no today, or memory is short. BAD_INPUT: for good; task->field names the job's
 * field. What was fetched before something failed is in the cache for the next try. */
enum status fetch_inputs(const struct fetch *fetch, struct media_task *task);

#endif
