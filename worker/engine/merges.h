/* merges.h - adapters that get weights of their own: those are made while turns go on, as models
 * come (arrivals.h, load.h), a layer or some rows of a sum at a time. Private to this folder.
 *
 * One is made at a time. The memory of what it will be and of what that takes meanwhile is the
 * budget's first. Who waits for it is known by job, so that others overtake him, and so that it is
 * given up, and all of it freed, when nobody waits any more; what has been made, or why it could
 * not be, is kept for those who wait until they have heard of it.
 */
#ifndef DARKROOM_WORKER_ENGINE_MERGES_H
#define DARKROOM_WORKER_ENGINE_MERGES_H

#include "base/limits.h"
#include "worker/engine/load.h"
#include "worker/engine/shelf.h"
#include "worker/model/adapter.h"

/* Who wants it is told what has come of it, or that it failed, and at last that nobody waits for it
 * any more. */
struct merge_listener {
  void (*made)(void *row, struct adaptation *adaptation, enum status status);
  void (*let_go)(void *row);
};
/* What is merged: all of it stays until it is let go. */
struct merge {
  struct model *model;
  size_t count;
  struct adapter_use use[JOB_ADAPTERS_MAX];
  struct held *file[JOB_ADAPTERS_MAX]; /* held: let go here */
  size_t scratch;                      /* bytes of the budget, while it is made */
  void *row;                           /* the listener's */
  const struct merge_listener *listener;
};

/* A job that waits. */
struct merge_waiter {
  char id[JOB_ID_BYTES_MAX + 1];
  uint64_t fence;
  bool own;   /* for the one that is made; else until another can be begun */
  bool asked; /* since merges_ask_anew */
};

struct merges {
  struct budget *budget;
  struct load *load;  /* NULL: none is under way */
  struct merge merge; /* its row NULL: another can be begun */
  bool given_up;
  int waiters;
  struct merge_waiter waiter[SAMPLES_MAX];
};

/* Whether one is under way. */
bool merges_under_way(const struct merges *merges);
/* Whether one is under way, or kept for those who wait for it: no other can be begun. */
bool merges_any(const struct merges *merges);
/* Begins one: its scratch is taken of the budget. EXHAUSTED: it is let go, and nothing is taken. */
enum status merges_begin(struct merges *merges, const struct merge *merge);
/* Goes on. `slice_ms`: for how long the device may be its; `idle`: nobody else needs it. BROKEN
 * alone is given back: what fails is its jobs' trouble. */
enum status merges_turn(struct merges *merges, int64_t slice_ms, bool idle);
/* Ends what is under way; nobody waits any more. */
void merges_close(struct merges *merges);

/* The job waits from now on: for this one, or until another can be begun. */
void merges_wait(struct merges *merges, const char *id, uint64_t fence, bool own);
/* Whether it still has to; it asks, too. */
bool merges_expected(struct merges *merges, const char *id, uint64_t fence);
/* It has been admitted or refused. */
void merges_settle(struct merges *merges, const char *id, uint64_t fence);
/* Who does not ask from now on waits no more. */
void merges_ask_anew(struct merges *merges);

#endif
