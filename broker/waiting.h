/* waiting.h - who waits: clients for the events of a job, workers for work. Soft state: rebuilt
 * when they ask again.
 *
 * Nothing here is truth. A broker that dies takes it along, and loses no job by it.
 */
#ifndef DARKROOM_BROKER_WAITING_H
#define DARKROOM_BROKER_WAITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/status.h"
#include "broker/identity.h"
#include "proto/wire.h"

#define WAITING_WORKERS_MAX FLEET_WORKERS_MAX

/* Whether a worker will run a job alone when it is told to. One that has never heard of it is given
 * such a job only while it holds nothing, and nothing beside it. */
enum claim_alone { ALONE_UNHEARD_OF, ALONE_NOT_NOW, ALONE_WILLING };

/* A peer as the broker reaches it, with the request that what is said to it belongs to. */
struct peer {
  uint64_t caller; /* the door's number of its connection */
  bool delimiter;  /* it is a REQ: its empty frame goes back to it */
  uint64_t correlation;
  const struct identity *who; /* as the handshake has proved; lives as long as the connection */
};

struct watch;
struct watcher {
  struct peer peer;
  uint64_t version;  /* last told; 0: nothing yet */
  uint64_t position; /* last told */
  struct watch *watch;
  struct watcher *next, **back;         /* of the job */
  struct watcher *next_own, **back_own; /* of the connection */
};

/* A job somebody watches. */
struct watch {
  char name[JOB_NAME_TEXT_MAX]; /* job_name.h */
  bool due;                     /* a snapshot is to be fetched and told: in the list of those */
  bool requeued;                /* the snapshot is told as REQUEUED */
  bool queued;                  /* last seen QUEUED: its position may change */
  struct watcher *first;
  struct watch *chain;                /* of the hash table */
  struct watch *next, **back;         /* of all watches */
  struct watch *next_due, **back_due; /* of those that are due, in the order they became so */
};

struct credit {
  char model[JOB_MODEL_BYTES_MAX + 1];
  uint32_t jobs;
  uint32_t max_side;
};

struct waiter {
  char name[JOB_ID_BYTES_MAX + 1];
  uint64_t generation;
  struct peer peer;
  struct credit credit[WORKER_CREDITS_MAX];
  size_t credits;
  uint32_t jobs; /* in all: no more is pushed, whatever the models' credits add up to */
  enum claim_alone alone;
  bool woken;    /* to be offered work in this turn */
  bool fresh;    /* its CLAIM has not been used for a claim yet */
  bool withheld; /* its credits were dropped: it is to be told to say them again */
};

struct waiting;
enum status waiting_open(struct waiting **out);
void waiting_close(struct waiting **waiting);

/* ---- clients --------------------------------------------------------------------------------- */

/* The watch of a job with this peer in it (told nothing yet if it is new). EXHAUSTED: too many
 * watches of this connection, of its tenant, or of all. */
enum status waiting_watch(struct waiting *waiting, const char *job, const struct peer *peer,
                          struct watcher **out);
/* NULL if nobody watches it. */
struct watch *waiting_watch_of(struct waiting *waiting, const char *job);
/* Takes one watcher out, or all of a job; the watch itself goes with the last one. */
void waiting_unwatch(struct waiting *waiting, struct watcher *watcher);
void waiting_unwatch_all(struct waiting *waiting, struct watch *watch);
/* A snapshot of the job is to be told to its watchers; once, however often it is said. */
void waiting_make_due(struct waiting *waiting, struct watch *watch);
/* Takes the watch that has been due longest, which is due no longer; NULL if none is. */
struct watch *waiting_due(struct waiting *waiting);
/* Makes every watch due: events may have been missed. With queued_only: those whose position may
 * have changed. */
void waiting_all_due(struct waiting *waiting, bool queued_only);
size_t waiting_watchers(const struct waiting *waiting);

/* ---- workers --------------------------------------------------------------------------------- */

/* Notes the credits of a CLAIM, replacing what was said before, and wakes the worker. EXHAUSTED:
 * too many workers. */
enum status waiting_claim(struct waiting *waiting, const Darkroom__V1__Claim *claim,
                          const struct peer *peer);
/* The worker's entry, NULL if it holds no credits here. */
struct waiter *waiting_worker(struct waiting *waiting, const char *name);
/* Wakes one worker that has a credit for the model and is not awake yet, in turn. False if there is
 * none. */
bool waiting_wake(struct waiting *waiting, const char *model);
void waiting_wake_all(struct waiting *waiting);
/* The next woken worker, put to sleep again; NULL if none is left. */
struct waiter *waiting_woken(struct waiting *waiting);
/* Drops its credits and wakes others in its place; its connection is still watched. */
void waiting_withhold(struct waiting *waiting, struct waiter *waiter);
void waiting_drop(struct waiting *waiting, struct waiter *waiter);

/* What a connection watches becomes due: it had no room for news, and has it again. */
void waiting_caller_due(struct waiting *waiting, uint64_t caller);
/* A connection has closed: its watchers are dropped, and gone() is called for each of its workers
 * before it is. */
void waiting_closed(struct waiting *waiting, uint64_t caller,
                    void (*gone)(void *context, const struct waiter *waiter), void *context);

#endif
