/* client_verbs.c - watch get list cancel requeue bury explain models status; submit has a file of
 * its own. */
#include <stdlib.h>
#include <string.h>

#include "base/version.h"
#include "broker/explanation.h"
#include "broker/job_name.h"
#include "broker/listing.h"
#include "broker/reply.h"
#include "broker/upkeep.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"

enum { LIST_DEFAULT = 100, STATUS_BYTES_MAX = FRAME_BYTES_MAX / 2 };

static enum status not_found(struct request *request, const char *id) {
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_NOT_FOUND, "id", NULL,
                "there is no job %s", id);
}

/* ---- watch ----------------------------------------------------------------------------------- */

enum status watch_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Watch *watch = (const Darkroom__V1__Watch *)request->message;
  if (watch->n_id == 0 || watch->n_id > WATCH_IDS_MAX) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "id", "1..64 ids",
                  "%zu ids to watch", watch->n_id);
  }
  for (size_t i = 0; i < watch->n_id; i++) {
    TRY(verb_check_id(request, "id", watch->id[i]));
  }
  request->calls = watch->n_id;
  TRY(verb_take_tenant(request, watch->tenant));
  for (size_t i = 0; i < watch->n_id; i++) {
    const char *name = NULL;
    TRY(job_name(turn->arena, request->tenant, watch->id[i], &name));
    size_t call = queue_get(turn->redis, name, request->tenant);
    request->call = i == 0 ? call : request->call;
  }
  return OK;
}

/* The reply is read and the watcher entered without Redis in between, and events of this connection
 * are only taken between turns: no change can fall between snapshot and watch.
 *
 * Each id on its own: one that is unknown must not cost the others their watch. */
static enum status watch_one(struct turn *turn, struct request *request, const char *id,
                             size_t call) {
  Darkroom__V1__JobStatus *status = NULL;
  TRY(queue_get_reply(turn->redis, call, turn->arena, false, &status));
  if (status == NULL) {
    return not_found(request, id);
  }
  status->id = (char *)id;
  struct watcher *watcher = NULL;
  const char *name = NULL;
  TRY(job_name(turn->arena, request->tenant, id, &name));
  TRY(waiting_watch(turn->waiting, name, &request->peer, &watcher));
  watcher->version = 0; /* asked again: the snapshot is told again */
  verb_tell_status(turn, waiting_watch_of(turn->waiting, name), watcher, status);
  return OK;
}

enum status watch_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Watch *watch = (const Darkroom__V1__Watch *)request->message;
  for (size_t i = 0; i < request->calls; i++) {
    enum status status = watch_one(turn, request, watch->id[i], request->call + i);
    if (status != OK) {
      turn_refuse(turn, request, status);
    }
  }
  return OK;
}

/* ---- get ------------------------------------------------------------------------------------- */

enum status get_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Get *get = (const Darkroom__V1__Get *)request->message;
  TRY(verb_take_job(turn, request, get->tenant, get->id));
  request->call = queue_get(turn->redis, request->job, request->tenant);
  return OK;
}

enum status get_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Get *get = (const Darkroom__V1__Get *)request->message;
  Darkroom__V1__JobStatus *status = NULL;
  TRY(queue_get_reply(turn->redis, request->call, turn->arena, true, &status));
  if (status == NULL) {
    return not_found(request, get->id);
  }
  status->id = get->id;
  turn_send(turn, &request->peer, WIRE_JOB_STATUS, &status->base);
  return OK;
}

/* ---- list ------------------------------------------------------------------------------------ */

static size_t list_limit(const Darkroom__V1__List *list) {
  return list->has_limit ? list->limit : LIST_DEFAULT;
}

/* One page of one state is answered in this turn; more is a listing, a page a turn. */
enum status list_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__List *list = (const Darkroom__V1__List *)request->message;
  size_t limit = list_limit(list);
  if (limit == 0 || limit > LIST_JOBS_MAX) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "limit", "1..1000",
                  "limit is %zu", limit);
  }
  uint32_t states = 0; /* a state named twice is listed once */
  for (size_t i = 0; i < list->n_state; i++) {
    if (reply_state_word(list->state[i])[0] == '\0') {
      return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "state", NULL,
                    "%d is no state", (int)list->state[i]);
    }
    states |= 1U << list->state[i];
  }
  TRY(verb_take_tenant(request, list->tenant));
  TRY(shares_take(&turn->options.shares, door_shares(turn->door, request->peer.caller),
                  request->peer.who, limit / LIST_ROWS_A_MESSAGE, 0, &request->why));
  if (limit > SCRIPT_LOOP_MAX || (states & (states - 1)) != 0) {
    return listing_add(turn, request, states, limit);
  }
  Darkroom__V1__JobState state = list->n_state > 0 ? list->state[0] : 0;
  request->call = queue_list(turn->redis, state, request->tenant, 0, limit);
  request->calls = 1;
  return OK;
}

enum status list_answer(struct turn *turn, struct request *request) {
  struct listed *rows = arena_take(turn->arena, SCRIPT_LOOP_MAX * sizeof *rows);
  size_t count = 0;
  if (request->calls == 0) {
    return OK; /* a listing answers */
  }
  if (rows == NULL) {
    return EXHAUSTED;
  }
  TRY(queue_list_reply(turn->redis, request->call, turn->arena, rows, SCRIPT_LOOP_MAX, &count));
  return listing_send(turn, &request->peer, rows, count);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

enum status cancel_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Cancel *cancel = (const Darkroom__V1__Cancel *)request->message;
  TRY(verb_take_job(turn, request, cancel->tenant, cancel->id));
  request->call = queue_cancel(turn->redis, request->job, request->tenant);
  return OK;
}

enum status cancel_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Cancel *cancel = (const Darkroom__V1__Cancel *)request->message;
  Darkroom__V1__Cancelled answer = DARKROOM__V1__CANCELLED__INIT;
  bool found = false;
  TRY(queue_cancel_reply(turn->redis, request->call, &found, &answer.outcome, &answer.state));
  if (!found) {
    return not_found(request, cancel->id);
  }
  answer.id = cancel->id;
  answer.has_outcome = answer.has_state = true;
  if (answer.outcome == DARKROOM__V1__CANCEL_OUTCOME__CANCEL_REMOVED) {
    verb_count_ended(answer.state, 1);
    log_event("job_cancelled", log_text("job", request->job),
              log_text("key", request->peer.who->row.name));
  }
  turn_send(turn, &request->peer, WIRE_CANCELLED, &answer.base);
  return OK;
}

/* ---- requeue, bury: an operator's word on a quarantined job ---------------------------------- */

enum status requeue_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Requeue *requeue = (const Darkroom__V1__Requeue *)request->message;
  TRY(verb_take_job(turn, request, requeue->tenant, requeue->id));
  request->call = queue_requeue(turn->redis, request->job, request->tenant);
  return OK;
}

enum status bury_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Bury *bury = (const Darkroom__V1__Bury *)request->message;
  TRY(verb_take_job(turn, request, bury->tenant, bury->id));
  request->call = queue_bury(turn->redis, request->job, request->tenant);
  return OK;
}

/* The log line is the trace of what an operator decided. A job that was quarantined has been
 * counted as such and is not counted again. */
static enum status review_answer(struct turn *turn, struct request *request, const char *id,
                                 const char *event) {
  Darkroom__V1__Reviewed answer = DARKROOM__V1__REVIEWED__INIT;
  enum review review = REVIEW_NOT_FOUND;
  TRY(queue_review_reply(turn->redis, request->call, &review, &answer.state));
  if (review == REVIEW_NOT_FOUND) {
    return not_found(request, id);
  }
  if (review == REVIEW_LATE) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_TERMINAL, "id", NULL,
                  "the deadline of %s has passed: it would only expire, and can be buried", id);
  }
  answer.id = (char *)id;
  answer.has_moved = answer.has_state = true;
  answer.moved = review == REVIEW_DONE;
  if (answer.moved) {
    log_event(event, log_text("job", request->job), log_text("by", "operator"),
              log_text("key", request->peer.who->row.name));
  }
  turn_send(turn, &request->peer, WIRE_REVIEWED, &answer.base);
  return OK;
}

enum status requeue_answer(struct turn *turn, struct request *request) {
  return review_answer(turn, request, ((const Darkroom__V1__Requeue *)request->message)->id,
                       "job_requeued");
}

enum status bury_answer(struct turn *turn, struct request *request) {
  return review_answer(turn, request, ((const Darkroom__V1__Bury *)request->message)->id,
                       "job_buried");
}

/* ---- explain --------------------------------------------------------------------------------- */

enum status explain_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Explain *explain = (const Darkroom__V1__Explain *)request->message;
  TRY(verb_take_job(turn, request, explain->tenant, explain->id));
  request->call = queue_explain(turn->redis, request->job, request->tenant);
  return OK;
}

enum status explain_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Explain *explain = (const Darkroom__V1__Explain *)request->message;
  Darkroom__V1__Explanation answer = DARKROOM__V1__EXPLANATION__INIT;
  const redisReply *facts = NULL;
  TRY(queue_explain_reply(turn->redis, request->call, &facts));
  if (facts->elements == 0) {
    return not_found(request, explain->id);
  }
  answer.id = explain->id;
  TRY(explanation_write(turn, facts, &answer));
  turn_send(turn, &request->peer, WIRE_EXPLANATION, &answer.base);
  return OK;
}

/* ---- models, status -------------------------------------------------------------------------- */

enum status models_ask(struct turn *turn, struct request *request) {
  request->call = queue_fleet(turn->redis, false);
  return OK;
}

enum status models_answer(struct turn *turn, struct request *request) {
  Darkroom__V1__ModelList answer = DARKROOM__V1__MODEL_LIST__INIT;
  const redisReply *reply = NULL;
  TRY(queue_fleet_reply(turn->redis, request->call, &reply));
  TRY(fleet_read(&turn->fleet, reply, turn->arena));
  TRY(fleet_models(&turn->fleet, turn->arena, &answer));
  turn_send(turn, &request->peer, WIRE_MODEL_LIST, &answer.base);
  return OK;
}

enum status status_ask(struct turn *turn, struct request *request) {
  request->call = queue_stats(turn->redis);
  (void)queue_fleet(turn->redis, true);
  return OK;
}

/* Credits live in the broker that holds them: shown for the workers of this one. */
static void add_credits(struct turn *turn, const Darkroom__V1__FleetStatus *status) {
  for (size_t i = 0; i < status->n_worker; i++) {
    const struct waiter *waiter = waiting_worker(turn->waiting, status->worker[i]->id);
    if (waiter != NULL) {
      status->worker[i]->has_credits = true;
      status->worker[i]->credits = waiter->jobs;
    }
  }
}

/* A fleet whose rows do not fit in one frame is shown in part, and counted whole. */
static bool all_ready(const Darkroom__V1__WorkerInfo *worker) {
  for (size_t i = 0; i < worker->n_device_info; i++) {
    const char *state = worker->device_info[i]->state;
    if (state == NULL || strcmp(state, "ready") != 0) {
      return false;
    }
  }
  return true;
}

/* What is said of devices goes first, from the end of the list, and of those that are well before
 * the others. Gives the size that is left. */
static size_t leave_devices_out(Darkroom__V1__FleetStatus *status, size_t bytes, bool of_all) {
  for (size_t i = status->n_worker; i > 0 && bytes > STATUS_BYTES_MAX; i--) {
    Darkroom__V1__WorkerInfo *worker = status->worker[i - 1];
    if (worker->n_device_info > 0 && (of_all || all_ready(worker))) {
      size_t before = protobuf_c_message_get_packed_size(&worker->base);
      worker->n_device_info = 0;
      bytes -= before - protobuf_c_message_get_packed_size(&worker->base);
    }
  }
  return bytes;
}

static void fit_in_frame(Darkroom__V1__FleetStatus *status) {
  status->has_workers = true;
  status->workers = (uint32_t)status->n_worker;
  size_t bytes = protobuf_c_message_get_packed_size(&status->base);
  bytes = leave_devices_out(status, bytes, false);
  (void)leave_devices_out(status, bytes, true);
  while (protobuf_c_message_get_packed_size(&status->base) > STATUS_BYTES_MAX) {
    status->n_worker -= status->n_worker / 8 + 1;
  }
}

enum status status_answer(struct turn *turn, struct request *request) {
  Darkroom__V1__FleetStatus answer = DARKROOM__V1__FLEET_STATUS__INIT;
  struct stats stats;
  const redisReply *fleet = NULL;
  TRY(queue_stats_reply(turn->redis, request->call, &stats));
  TRY(queue_fleet_reply(turn->redis, request->call + 1, &fleet));
  TRY(fleet_workers(fleet, turn->arena, &answer.worker, &answer.n_worker));
  add_credits(turn, &answer);
  char trouble[256];
  answer.trouble = redis_ready(turn->redis, trouble, sizeof trouble) ? NULL : trouble;
  answer.version = (char *)DARKROOM_VERSION;
  answer.has_queued = answer.has_running = answer.has_delayed = answer.has_succeeded =
      answer.has_failed = true;
  answer.has_cancelled = answer.has_oldest_wait_ms = true;
  answer.queued = stats.queued;
  answer.running = stats.assigned + stats.running;
  answer.delayed = stats.delayed;
  answer.succeeded = stats.succeeded;
  answer.failed = stats.failed + stats.expired + stats.quarantined;
  answer.cancelled = stats.cancelled;
  answer.oldest_wait_ms = stats.oldest_wait_ms;
  fit_in_frame(&answer);
  turn_send(turn, &request->peer, WIRE_FLEET_STATUS, &answer.base);
  return OK;
}
