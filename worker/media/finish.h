/* finish.h - what one media thread does with one task: encode, spool, store, drop. */
#ifndef DARKROOM_WORKER_MEDIA_FINISH_H
#define DARKROOM_WORKER_MEDIA_FINISH_H

#include "worker/media/media.h"

struct fetch;
struct finish {
  struct store *store;       /* this thread's own; NULL for one that only serves the disk */
  const struct fetch *fetch; /* of one that fetches; else NULL */
  const char *spool;
  const char *worker;
  const char *version;
};

/* Does the task once and writes what came of it into the task. */
void finish_task(const struct finish *finish, struct media_task *task);

#endif
