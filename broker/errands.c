/* errands.c - what the broker asks Redis of its own accord: the clock, the fleet, offers to
 * workers, news for watchers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "broker/terms.h"
#include "broker/upkeep.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"

enum { SWEEP_AGAIN_MS = 50 };

/* ---- the clock and the sweep ----------------------------------------------------------------- */

/* Every broker ticks and sweeps; both scripts do no harm when they are called too often. */
static enum status tick_ask(struct turn *turn, struct request *request) {
  (void)queue_tick(turn->redis);
  request->call = queue_sweep(turn->redis, turn->options.retention_ms);
  return OK;
}

static enum status tick_answer(struct turn *turn, struct request *request) {
  struct swept swept;
  TRY(queue_sweep_reply(turn->redis, request->call, &swept));
  if (swept.more) { /* soon, but leaving Redis time for everyone else */
    turn->tick_ms = clock_ms() + SWEEP_AGAIN_MS;
  }
  metric_add(M_LEASE_EXPIRED, (double)swept.lapsed);
  metric_add(M_JOBS_RETRIED, (double)(swept.lapsed - swept.quarantined - swept.cancelled));
  verb_count_ended(DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED, swept.cancelled);
  verb_count_ended(DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED, swept.expired);
  verb_count_ended(DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED, swept.quarantined);
  verb_count_ended(DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED, swept.failed);
  if (swept.lapsed > 0) {
    log_warning("leases_lapsed", log_count("jobs", swept.lapsed));
  }
  /* Wakes are published and may be lost: whoever could work looks again with every sweep. */
  for (size_t i = 0; i < swept.models; i++) {
    while (waiting_wake(turn->waiting, swept.model[i])) {
    }
  }
  return OK;
}

const struct verb errand_tick = {"tick", tick_ask, tick_answer};

/* ---- the fleet and the gauges ---------------------------------------------------------------- */

static enum status fleet_ask(struct turn *turn, struct request *request) {
  request->call = queue_fleet(turn->redis, false);
  return OK;
}

static enum status fleet_answer(struct turn *turn, struct request *request) {
  const redisReply *reply = NULL;
  TRY(queue_fleet_reply(turn->redis, request->call, &reply));
  return fleet_read(&turn->fleet, reply, turn->arena);
}

const struct verb errand_fleet = {"fleet", fleet_ask, fleet_answer};

static enum status stats_ask(struct turn *turn, struct request *request) {
  request->call = queue_stats(turn->redis);
  (void)queue_fleet(turn->redis, false);
  (void)queue_trial(turn->redis);
  return OK;
}

/* Every state is set, also to 0: a gauge that is not set again keeps what it was. */
static void count_workers(struct turn *turn, const redisReply *fleet) {
  static const char *const states[] = {"ready", "draining", "silent", "gone"};
  Darkroom__V1__WorkerInfo **workers = NULL;
  size_t count = 0;
  if (fleet_workers(fleet, turn->arena, &workers, &count) != OK) {
    return;
  }
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    double number = 0;
    for (size_t k = 0; k < count; k++) {
      number += strcmp(workers[k]->state, states[i]) == 0;
    }
    metric_set_labelled(M_WORKERS, states[i], number);
  }
}

static enum status stats_answer(struct turn *turn, struct request *request) {
  struct stats stats;
  const redisReply *fleet = NULL;
  TRY(queue_stats_reply(turn->redis, request->call, &stats));
  for (int class = 0; class < CLASSES; class ++) {
    const char *name = job_priority_name(
        (Darkroom__V1__Priority)(DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE + class));
    metric_set_labelled(M_QUEUE_DEPTH, name, (double)stats.depth[class]);
  }
  metric_set(M_JOBS_RUNNING, (double)(stats.assigned + stats.running));
  metric_set(M_QUEUE_OUTSTANDING,
             (double)(stats.queued + stats.delayed + stats.assigned + stats.running));
  metric_set(M_QUEUE_OLDEST_JOB_AGE, (double)stats.oldest_wait_ms / 1e3);
  TRY(queue_fleet_reply(turn->redis, request->call + 1, &fleet));
  count_workers(turn, fleet);
  return fleet_read(&turn->fleet, fleet, turn->arena);
}

const struct verb errand_stats = {"stats", stats_ask, stats_answer};

/* ---- offers ---------------------------------------------------------------------------------- */

/* The subject is the worker's name and not its row, which another answer of the same round may drop
 * (a BYE, a push that did not go out). */
static enum status offer_ask(struct turn *turn, struct request *request) {
  const struct waiter *waiter = waiting_worker(turn->waiting, request->subject);
  if (waiter == NULL) {
    return fail(UNAVAILABLE, "the worker has gone");
  }
  Darkroom__V1__Credit credits[WORKER_CREDITS_MAX];
  const Darkroom__V1__Credit *list[WORKER_CREDITS_MAX];
  for (size_t i = 0; i < waiter->credits; i++) {
    darkroom__v1__credit__init(&credits[i]);
    credits[i].model = (char *)waiter->credit[i].model;
    credits[i].jobs = waiter->credit[i].jobs;
    credits[i].max_side =
        waiter->credit[i].max_side != 0 ? waiter->credit[i].max_side : JOB_SIDE_PIXELS_MAX;
    list[i] = &credits[i];
  }
  struct claim claim = {.worker = waiter->name,
                        .generation = waiter->generation,
                        .via = turn->name,
                        .fresh = waiter->fresh,
                        .jobs = waiter->jobs,
                        .alone = waiter->alone,
                        .credit = list,
                        .count = waiter->credits};
  request->call = queue_claim(turn->redis, &claim);
  return OK;
}

/* Credits are counted down here and set anew by the next CLAIM: never more is pushed than was asked
 * for, whatever Redis would give. A job that runs alone uses up all of them. */
static void use_credit(struct waiter *waiter, const char *model, bool alone) {
  waiter->jobs = alone || waiter->jobs == 0 ? 0 : waiter->jobs - 1;
  for (size_t i = 0; i < waiter->credits; i++) {
    if (strcmp(waiter->credit[i].model, model) == 0 && waiter->credit[i].jobs > 0) {
      waiter->credit[i].jobs--;
    }
  }
}

/* Sends one job to the worker. False: it could not be sent, or not be read. */
static bool push(struct turn *turn, struct waiter *waiter, const struct assigned *assigned) {
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  ProtobufCMessage *job = NULL;
  if (wire_unpack_type(&darkroom__v1__job__descriptor, assigned->packed, assigned->packed_bytes,
                       turn->arena, &job, NULL) != OK) {
    log_error("record_unreadable", log_text("job", assigned->job),
              log_text("reason", fail_reason()));
    return false;
  }
  assign.job = (Darkroom__V1__Job *)job;
  assign.has_fence = assign.has_lease_ms = assign.has_queued_us = true;
  assign.fence = assigned->fence;
  assign.lease_ms = LEASE_ASSIGNED_MS;
  assign.queued_us = assigned->queued_us;
  assign.has_alone = assign.alone = assigned->alone;
  use_credit(waiter, assign.job->model, assigned->alone);
  return turn_tell(turn, &waiter->peer, WIRE_ASSIGN, &assign.base) == DOOR_SENT;
}

/* Gives back what could not be sent; struct lease. */
static const struct verb errand_release;

/* The job never left: it goes back at once instead of waiting for its lease to lapse. */
static void give_back(struct turn *turn, const struct waiter *waiter,
                      const struct assigned *assigned) {
  struct lease *lease = arena_take(turn->arena, sizeof *lease);
  if (lease != NULL) {
    *lease = (struct lease){turn_text(turn, "%s", waiter->name), waiter->generation,
                            turn_text(turn, "%s", assigned->job), assigned->fence};
    turn_errand(turn, &errand_release, lease);
  }
}

/* Its generation is closed: HELLO comes first. */
static void refuse_claim(struct turn *turn, struct request *request, struct waiter *waiter) {
  refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_STALE, "generation", NULL,
         "the generation is unknown: say HELLO");
  turn_send_refusal(turn, &waiter->peer, &request->why);
  waiting_drop(turn->waiting, waiter);
}

/* Sends what was given, in order. After the first that cannot be sent the rest goes back: the
 * worker's socket is full or gone. */
static void push_all(struct turn *turn, struct waiter *waiter, const struct assigned *jobs,
                     size_t count) {
  bool reachable = true;
  for (size_t i = 0; i < count; i++) {
    reachable = reachable && push(turn, waiter, &jobs[i]);
    if (!reachable) {
      give_back(turn, waiter, &jobs[i]);
    } else {
      log_event("job_assigned", log_text("job", jobs[i].job), log_text("worker", waiter->name),
                log_count("fence", jobs[i].fence));
    }
  }
  if (!reachable) {
    log_warning("worker_unreachable", log_text("worker", waiter->name));
    waiting_drop(turn->waiting, waiter);
  }
}

static enum status offer_answer(struct turn *turn, struct request *request) {
  struct waiter *waiter = waiting_worker(turn->waiting, request->subject);
  struct assigned *jobs = arena_take(turn->arena, SCRIPT_LOOP_MAX * sizeof *jobs);
  enum claim_outcome outcome = CLAIM_STALE;
  size_t count = 0;
  if (waiter == NULL || jobs == NULL) {
    return fail(UNAVAILABLE, "the worker has gone"); /* what it was given lapses */
  }
  TRY(queue_claim_reply(turn->redis, request->call, &outcome, jobs, &count));
  waiter->fresh = false;
  if (outcome == CLAIM_STALE) {
    refuse_claim(turn, request, waiter);
  } else if (outcome == CLAIM_WITHHELD) {
    log_event("credits_dropped", log_text("worker", waiter->name));
    waiting_withhold(turn->waiting, waiter);
  } else {
    push_all(turn, waiter, jobs, count);
  }
  return OK;
}

const struct verb errand_offer = {"offer", offer_ask, offer_answer};

static enum status release_lease_ask(struct turn *turn, struct request *request) {
  request->call = queue_release(turn->redis, request->subject);
  return OK;
}

static enum status release_lease_answer(struct turn *turn, struct request *request) {
  Darkroom__V1__AckResult result;
  const char *detail;
  return queue_ack_reply(turn->redis, request->call, &result, &detail);
}

static const struct verb errand_release = {"release", release_lease_ask, release_lease_answer};

/* The script compares this broker's name with where the worker was heard last: one that has moved
 * on to another broker before its old connection closed keeps its leases whole. */
static enum status gone_ask(struct turn *turn, struct request *request) {
  const struct lease *lease = request->subject;
  request->call = queue_gone(turn->redis, lease->worker, lease->generation, turn->name);
  return OK;
}

static enum status gone_answer(struct turn *turn, struct request *request) {
  turn->fleet_due = true;
  const redisReply *reply = NULL;
  return redis_answer(turn->redis, request->call, &reply);
}

const struct verb errand_gone = {"gone", gone_ask, gone_answer};
