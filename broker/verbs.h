/* verbs.h - the table of messages and the broker's own errands. */
#ifndef DARKROOM_BROKER_VERBS_H
#define DARKROOM_BROKER_VERBS_H

#include "broker/serving.h"
#include "broker/turn.h"

/* The row of a message that a client or worker may send, NULL for any other. */
const struct verb *verb_find(enum wire_verb verb);

/* Errands, with their subjects. */
extern const struct verb errand_tick;     /* the clock, the sweep, and waking who can work; none */
extern const struct verb errand_fleet;    /* reads the fleet; none */
extern const struct verb errand_stats;    /* the gauges of the queue; none */
extern const struct verb errand_snapshot; /* tells the watchers of a job; its name */
extern const struct verb errand_offer;    /* claims for a woken worker; struct offer */
extern const struct verb errand_gone; /* a worker's connection closed; struct lease without a job */

/* Both halves of every message, named after its payload: submit_ask and submit_answer, ... A verb
 * without both does not link. */
#define VERB_CLIENT(payload)                                             \
  enum status payload##_ask(struct turn *turn, struct request *request); \
  enum status payload##_answer(struct turn *turn, struct request *request);
#define VERB_WORKER(payload) VERB_CLIENT(payload)
#define VERB_BROKER(payload)
#define VERB(id, number, payload, sender, roles) VERB_##sender(payload)
#include "proto/verbs.def"
#undef VERB
#undef VERB_CLIENT
#undef VERB_WORKER
#undef VERB_BROKER

/* ---- telling watchers: watchers.c ------------------------------------------------------------ */

/* Tells one watcher what the status says; version, position as in the watch. Terminal: it is the
 * last event. */
void verb_tell_status(struct turn *turn, struct watch *watch, struct watcher *watcher,
                      const Darkroom__V1__JobStatus *status);
/* Tells all watchers of a job what the reply of queue_get says. Nobody watches: nothing. */
enum status verb_tell_snapshot(struct turn *turn, const char *job, size_t call);
#endif
