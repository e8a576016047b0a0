/* worker.h - the parent's state; what works on it has a header of its own.
 *
 * One thread, one loop: gather what the broker, the engines and the media threads have said
 * (orders.h, reports.h, pictures.h), change the table of held jobs (held.h, outcome.h), then say
 * what follows from it (offers.h). Who may call whom: orders, reports -> pictures -> outcome ->
 * offer; orders -> admission -> outcome; offers -> beat, claim ->
 * placement -> held, children. Nothing here is seen by another
 * thread but `ready`.
 */
#ifndef DARKROOM_WORKER_WORKER_H
#define DARKROOM_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/children.h"
#include "worker/hardware.h"
#include "worker/held.h"
#include "worker/identity.h"
#include "worker/link.h"
#include "worker/models_table.h"
#include "worker/options.h"
#include "worker/readiness.h"
#include "worker/trouble.h"

/* What we have told the brokers that we would take, by model. */
struct credit {
  const char *model;
  uint32_t jobs;
  uint32_t max_side;
};

enum { RESUME_MS = 20000 }; /* HELLO waits for jobs of an earlier life this long */

struct worker {
  const struct options *options;
  const struct models_table *table;
  struct hardware hardware;
  struct children children;
  struct media *media;
  struct link link;
  struct identity identity;
  struct readiness *ready;
  struct held_table held;
  struct arena *scratch; /* of one message */

  /* the conversation */
  uint64_t generation;          /* 0: HELLO comes first */
  uint64_t leftover_generation; /* of jobs from an earlier life, while `resuming` */
  bool resuming;
  int64_t resume_until_ms;
  struct offer hello;
  char unwelcome[192]; /* why the last HELLO was refused; "" after a WELCOME */
  int64_t beat_ms;     /* the broker's wish */
  int64_t last_beat_ms;
  bool claim_stale;     /* say CLAIM in this turn, whether or not it has changed */
  int64_t claim_due_ms; /* not before: the last CLAIM was refused */
  uint64_t claim_correlation;
  uint32_t said_jobs; /* and by model: what the broker may still push */
  struct credit said[MODELS_MAX];
  size_t said_count;

  struct store_watch store;
  struct spool_watch spool_watch;
  char trouble_said[TROUBLE_BYTES_MAX]; /* in the last BEAT */
  uint64_t devices_said;                /* what the last one that told of devices was about */
  int64_t devices_said_ms;
  size_t preview_turn; /* the row of held jobs whose preview is told first in the next BEAT */
  size_t next_asker;   /* where the search for a picture that asks the store goes on */

  /* leaving */
  bool draining;
  int64_t drain_until_ms;
  struct offer bye;
  bool gone; /* the loop ends */
  enum exit_code exit_code;
};

#endif
