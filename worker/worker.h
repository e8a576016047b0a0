/* worker.h - the parent's state, and the parts of its turn.
 *
 * One thread, one loop: gather what the broker, the engines and the media threads have said
 * (orders.c, reports.c, pictures.c), change the table of held jobs (held.h, outcome.c), then say
 * what follows from it (offers.c). Nothing here is seen by another thread but `ready`.
 */
#ifndef DARKROOM_WORKER_WORKER_H
#define DARKROOM_WORKER_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/children.h"
#include "worker/held.h"
#include "worker/link.h"
#include "worker/models_table.h"
#include "worker/options.h"
#include "worker/readiness.h"

/* What we have told the brokers that we would take, by model. */
struct credit {
  const char *model;
  uint32_t jobs;
  uint32_t max_side;
};

/* A store that did not answer is asked by one picture at a time, at growing intervals. */
struct store_watch {
  bool away;
  bool refused; /* it answers, and says no: nothing is taken until a check has passed */
  bool asking;  /* a check or the one picture is out */
  int tries;
  int64_t due_ms;
};

struct worker {
  const struct options *options;
  const struct models_table *table;
  struct children children;
  struct media *media;
  struct link link;
  struct readiness *ready;
  struct held_table held;
  struct arena *scratch; /* of one message */

  /* the conversation */
  uint64_t generation;          /* 0: HELLO comes first */
  uint64_t leftover_generation; /* of jobs from an earlier life, while `resuming` */
  bool resuming;
  int64_t resume_until_ms;
  struct offer hello;
  int64_t beat_ms; /* the broker's wish */
  int64_t last_beat_ms;
  bool claim_stale;     /* say CLAIM in this turn, whether or not it has changed */
  int64_t claim_due_ms; /* not before: the last CLAIM was refused */
  uint64_t claim_correlation;
  struct credit said[MODELS_MAX];
  size_t said_count;

  struct store_watch store;

  /* leaving */
  bool draining;
  int64_t drain_until_ms;
  struct offer bye;
  bool gone; /* the loop ends */
  enum exit_code exit_code;
};

/* outcome.c - how a held job goes on and ends -------------------------------------------------- */

/* The engine shall forget it; its outcome is offered until a broker takes it. */
void job_fail(struct worker *worker, struct held *held, Darkroom__V1__FailKind kind,
              Darkroom__V1__ErrorCode code, const char *text);
void job_release(struct worker *worker, struct held *held);
/* Offers COMPLETE once the engine is through and every picture is stored. */
void job_complete_if_whole(struct held *held);
/* Nothing more is said of it: engine, spool and, if asked, store forget it. */
void job_leave(struct worker *worker, struct held *held, bool remove_objects);
/* A media task of it came back: frees the row if that was the last it waited for. */
void job_settle(struct worker *worker, struct held *held);

/* orders.c - what the broker says -------------------------------------------------------------- */
enum status orders_take_all(struct worker *worker);

/* reports.c - what the engines say ------------------------------------------------------------- */
void reports_take_all(struct worker *worker, size_t child);
/* A child has died: its jobs end with it. */
void reports_child_ended(void *worker, size_t child);
/* The child for a job of this model: ready, with the most free slots. False: none. */
bool child_for(const struct worker *worker, const char *model, size_t *child);
int child_free_slots(const struct worker *worker, size_t child);
/* Kills engines that hold jobs and show no progress. */
void watchdog(struct worker *worker, int64_t now_ms);

/* pictures.c - what the media threads say ------------------------------------------------------ */
void pictures_take_all(struct worker *worker);
/* Tries waiting pictures again, and a store that refused. */
void pictures_tend(struct worker *worker, int64_t now_ms);
int64_t pictures_due_ms(const struct worker *worker);
/* A finished picture goes to the media threads. */
void picture_received(struct worker *worker, struct held *held, uint32_t index, uint32_t width,
                      uint32_t height, struct bytes *rgb);
/* Once the engine is through with it and every picture has been spooled, the spool shall know. */
void picture_seal(struct worker *worker, struct held *held);
size_t pictures_unstored(const struct worker *worker);

/* offers.c - what we say to the broker --------------------------------------------------------- */
void offers_tend(struct worker *worker, int64_t now_ms);
int64_t offers_due_ms(struct worker *worker, int64_t now_ms);
void offer_open(struct offer *offer, enum wire_verb verb);
/* RELEASE for an assignment that no row holds. Said once: if it is lost, the lease lapses. */
void offer_back(struct worker *worker, const Darkroom__V1__Assign *assign);
/* It was refused or not answered: try again later. */
void offer_again(struct offer *offer, int64_t now_ms, uint64_t at_least_ms);
/* Everything is said again at once: the broker has changed. */
void offers_restart(struct worker *worker);
/* Says CLAIM when what we would take has changed. */
void claim_tend(struct worker *worker);

/* leftovers.c - jobs of an earlier life -------------------------------------------------------- */
enum status leftovers_read(struct worker *worker);

/* turn.c - the loop ---------------------------------------------------------------------------- */
/* Runs until drained; returns what to exit with. signals is a signalfd of SIGTERM, SIGINT and
 * SIGCHLD. */
enum exit_code worker_run(struct worker *worker, int signals);

/* 0..max_ms, evenly: so that many workers do not come back at the same moment. */
int64_t jitter_ms(int64_t max_ms);

#endif
