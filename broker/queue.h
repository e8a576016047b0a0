/* queue.h - the queue's transitions: a function appends the script call, another reads its reply
 * after the flush.
 *
 * Here is what clients and workers ask for; what the broker asks of its own accord is in upkeep.h.
 * What each script does, guards and returns is said at its head in lua/. Readers return UNAVAILABLE
 * when Redis gave no answer (the outcome is then unknown: repeat the call) and BROKEN when the
 * answer is not what the script returns. Texts and messages read from replies are in the arena or
 * borrowed from the reply: both live for the turn.
 */
#ifndef DARKROOM_BROKER_QUEUE_H
#define DARKROOM_BROKER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "broker/redis.h"
#include "broker/waiting.h"
#include "proto/darkroom.pb-c.h"

/* The right to work on a job. */
struct lease {
  const char *worker;
  uint64_t generation;
  const char *job; /* its name, as everywhere below (job_name.h) */
  uint64_t fence;
};

/* ---- of clients ------------------------------------------------------------------------------ */

struct submission {
  const Darkroom__V1__Job *job; /* checked and complete */
  const char *name;             /* in the queue (job_name.h) */
  const char *digest;           /* text */
  const char *extras;           /* what it needs beside its model, a line each: a hint */
  const uint8_t *packed;
  size_t packed_bytes;
  uint64_t queue_max;
  const char *origin; /* this broker: it offers the job to its own workers in the same pipeline */
};
enum submit_outcome { SUBMIT_QUEUED, SUBMIT_EXISTED, SUBMIT_CONFLICT, SUBMIT_FULL };
struct submit_reply {
  enum submit_outcome outcome;
  Darkroom__V1__JobState state;
  uint64_t version, position, seed;
};
size_t queue_submit(struct redis *redis, const struct submission *submission);
enum status queue_submit_reply(const struct redis *redis, size_t call, struct submit_reply *out);

size_t queue_get(struct redis *redis, const char *job, const char *tenant);
/* *out is NULL when there is no such job. with_job: also what was asked. */
enum status queue_get_reply(const struct redis *redis, size_t call, struct arena *arena,
                            bool with_job, Darkroom__V1__JobStatus **out);

/* A page of jobs, newest first; state 0: of any state. At most SCRIPT_LOOP_MAX. */
size_t queue_list(struct redis *redis, Darkroom__V1__JobState state, const char *tenant,
                  size_t from, size_t count);
struct listed {
  uint64_t born; /* order of submission */
  Darkroom__V1__JobStatus *status;
};
/* Appends to rows at *count, at most max in all. */
enum status queue_list_reply(const struct redis *redis, size_t call, struct arena *arena,
                             struct listed *rows, size_t max, size_t *count);

size_t queue_cancel(struct redis *redis, const char *job, const char *tenant);
/* *found false: no such job. */
enum status queue_cancel_reply(const struct redis *redis, size_t call, bool *found,
                               Darkroom__V1__CancelOutcome *outcome, Darkroom__V1__JobState *state);

/* From quarantine, by an operator. Both are answered alike. */
enum review { REVIEW_DONE, REVIEW_ALREADY, REVIEW_LATE, REVIEW_NOT_FOUND };
size_t queue_requeue(struct redis *redis, const char *job, const char *tenant);
size_t queue_bury(struct redis *redis, const char *job, const char *tenant);
enum status queue_review_reply(const struct redis *redis, size_t call, enum review *out,
                               Darkroom__V1__JobState *state);

/* The facts as {name value...}; no elements: no such job. */
size_t queue_explain(struct redis *redis, const char *job, const char *tenant);
enum status queue_explain_reply(const struct redis *redis, size_t call, const redisReply **out);

/* ---- of workers ------------------------------------------------------------------------------ */

/* via names this broker in calls that mark where the worker was heard last. */
size_t queue_hello(struct redis *redis, const Darkroom__V1__Hello *hello, const char *via,
                   struct arena *arena);
/* Another daemon that lives under the name. */
struct namesake {
  const char *host;  /* "" when it did not say */
  uint64_t since_us; /* wall time of its HELLO */
  uint64_t heard_ms; /* ago */
};
/* *generation 0: the name is taken, *taken says by whom. */
enum status queue_hello_reply(const struct redis *redis, size_t call, uint64_t *generation,
                              struct namesake *taken);

/* The credits that a worker has said at a broker. */
struct claim {
  const char *worker;
  uint64_t generation;
  const char *via;
  bool fresh;    /* said since the last claim: then they also prove that it listens */
  uint32_t jobs; /* in all */
  enum claim_alone alone;
  const Darkroom__V1__Credit *const *credit;
  size_t count;
};
size_t queue_claim(struct redis *redis, const struct claim *claim);
/* STALE: the generation is not the live one. WITHHELD: it is, and these credits do not count. */
enum claim_outcome { CLAIM_GIVEN, CLAIM_WITHHELD, CLAIM_STALE };
struct assigned {
  const char *job; /* its name */
  uint64_t fence, queued_us;
  const uint8_t *packed;
  size_t packed_bytes;
  bool alone; /* it must run with nobody beside it */
};
/* jobs has room for SCRIPT_LOOP_MAX; there are some only when GIVEN. */
enum status queue_claim_reply(const struct redis *redis, size_t call, enum claim_outcome *outcome,
                              struct assigned *jobs, size_t *count);

size_t queue_start(struct redis *redis, const struct lease *lease);
size_t queue_complete(struct redis *redis, const struct lease *lease, const uint8_t *result,
                      size_t result_bytes);
struct failure {
  Darkroom__V1__FailKind kind;
  Darkroom__V1__ErrorCode code;
  const char *text;
  const char *field; /* of the job, "": none */
  unsigned jitter;   /* 0..1000 */
};
size_t queue_fail(struct redis *redis, const struct lease *lease, const struct failure *failure);
size_t queue_release(struct redis *redis, const struct lease *lease);
size_t queue_bye(struct redis *redis, const char *worker, uint64_t generation);
size_t queue_gone(struct redis *redis, const char *worker, uint64_t generation, const char *via);
/* For start, complete, fail, release and bye. *detail: the second element as text, "" if there is
 * none. */
enum status queue_ack_reply(const struct redis *redis, size_t call, Darkroom__V1__AckResult *result,
                            const char **detail);

size_t queue_beat(struct redis *redis, const Darkroom__V1__Beat *beat, const char *via,
                  struct arena *arena);
/* The orders, as texts of the beat; only hello_again when the generation is not the live one. */
enum status queue_beat_reply(const struct redis *redis, size_t call, const Darkroom__V1__Beat *beat,
                             struct arena *arena, Darkroom__V1__Orders *out);

#endif
