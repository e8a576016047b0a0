/* serving.c - requests of a turn, and what their answers need. */
#include "broker/serving.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/job_name.h"
#include "broker/turn.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"

struct request *turn_request(struct turn *turn, const struct verb *verb) {
  struct request *request =
      turn->count < TURN_REQUESTS_MAX ? arena_take_zeroed(turn->arena, sizeof *request) : NULL;
  if (request != NULL) {
    request->verb = verb;
    turn->requests[turn->count++] = request;
  }
  return request;
}

struct request *turn_errand(struct turn *turn, const struct verb *verb, const void *subject) {
  struct request *request = turn_request(turn, verb);
  if (request != NULL) {
    request->errand = true;
    request->subject = subject;
  }
  return request;
}

static enum door_sent send_as(struct turn *turn, const struct peer *peer, enum wire_verb verb,
                              const ProtobufCMessage *message, enum door_kind kind) {
  struct head head = {peer->delimiter, verb, peer->correlation};
  return door_send(turn->door, peer->caller, &head, message, kind);
}

void turn_send_refusal(struct turn *turn, const struct peer *peer, const struct refusal *why) {
  Darkroom__V1__Error error = refusal_error(why);
  (void)send_as(turn, peer, WIRE_ERROR, &error.base, DOOR_REFUSAL);
}

/* An answer is never left out in silence: what finds no room, or is larger than a frame, is refused
 * instead. */
bool turn_send(struct turn *turn, const struct peer *peer, enum wire_verb verb,
               const ProtobufCMessage *message) {
  struct refusal why = {0};
  enum door_sent sent = send_as(turn, peer, verb, message, DOOR_ANSWER);
  if (sent == DOOR_TOO_LARGE) {
    log_error("answer_too_large", log_text("verb", wire_verb(verb)->name),
              log_text("reason", fail_reason()));
    refuse(&why, DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL, NULL, NULL, "the answer is too large");
    turn_send_refusal(turn, peer, &why);
  } else if (sent == DOOR_FULL) {
    refuse(&why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, NULL, "1 MiB unread",
           "no room for the answer: earlier ones have not been read");
    why.retry_after_ms = RETRY_AFTER_MS;
    turn_send_refusal(turn, peer, &why);
  }
  return sent == DOOR_SENT;
}

enum door_sent turn_tell(struct turn *turn, const struct peer *peer, enum wire_verb verb,
                         const ProtobufCMessage *message) {
  return send_as(turn, peer, verb, message, DOOR_NEWS);
}

/* What the verb has not named itself is named by its status, so that no ERROR is ever without a
 * code: a full table or memory is EXHAUSTED, what is away UNAVAILABLE, and both may pass. A status
 * that says "your input" without a refusal is a fault of ours. */
void turn_refuse(struct turn *turn, struct request *request, enum status status) {
  static const Darkroom__V1__ErrorCode codes[] = {
      [BAD_INPUT] = DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL,
      [UNAVAILABLE] = DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE,
      [EXHAUSTED] = DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED,
      [BROKEN] = DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL,
  };
  if (request->why.code == 0) {
    char reason[sizeof request->why.message];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    refuse(&request->why, codes[status], NULL, NULL, "%s", reason);
    bool passes = status == UNAVAILABLE || status == EXHAUSTED;
    request->why.retry_after_ms = passes ? RETRY_AFTER_MS : 0;
  }
  turn_send_refusal(turn, &request->peer, &request->why);
  request->why = (struct refusal){0};
}

char *turn_text(struct turn *turn, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  char *copy = arena_copy_text(turn->arena, text, strlen(text));
  static char none[1];
  return copy != NULL ? copy : none;
}

enum status verb_check_id(struct request *request, const char *field, const char *id) {
  if (id != NULL && job_id_valid(id)) {
    return OK;
  }
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field,
                "1..64 of [A-Za-z0-9._-]", "%s is %s", field, id == NULL ? "missing" : "not an id");
}

enum status verb_check_worker(struct request *request, const char *worker) {
  TRY(verb_check_id(request, "worker", worker));
  enum status status = identity_may_be(request->peer.who, worker, &request->why);
  if (status != OK) {
    metric_add_labelled(M_REQUESTS_FORBIDDEN, "worker", 1);
    log_warning("worker_forbidden", log_text("key", request->peer.who->row.name),
                log_text("worker", worker));
  }
  return status;
}

enum status verb_take_tenant(struct request *request, const char *named) {
  const struct identity *who = request->peer.who;
  enum status status = identity_tenant(who, named, &request->tenant, &request->why);
  if (status != OK) {
    metric_add_labelled(M_REQUESTS_FORBIDDEN, "tenant", 1);
  } else if (strcmp(request->tenant, who->row.tenant) != 0) {
    log_event("operator_at_tenant", log_text("key", who->row.name),
              log_text("tenant", request->tenant), log_text("verb", request->verb->name));
  }
  return status;
}

enum status verb_take_job(struct turn *turn, struct request *request, const char *named,
                          const char *id) {
  TRY(verb_check_id(request, "id", id));
  TRY(verb_take_tenant(request, named));
  return job_name(turn->arena, request->tenant, id, &request->job);
}

enum status verb_take_lease(struct turn *turn, struct request *request, const char *tenant,
                            const char *id) {
  TRY(verb_check_id(request, "id", id));
  TRY(tenant != NULL ? verb_check_id(request, "tenant", tenant) : OK);
  return job_name(turn->arena, tenant, id, &request->job);
}

/* Each broker counts what happened through it; the sum over brokers is the fleet's. */
void verb_count_ended(Darkroom__V1__JobState state, uint64_t jobs) {
  static const struct {
    Darkroom__V1__JobState state;
    enum metric metric;
  } rows[] = {
      {DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED, M_JOBS_SUCCEEDED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_FAILED, M_JOBS_FAILED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED, M_JOBS_CANCELLED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_EXPIRED, M_JOBS_EXPIRED},
      {DARKROOM__V1__JOB_STATE__JOB_STATE_QUARANTINED, M_JOBS_QUARANTINED},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].state == state && jobs > 0) {
      metric_add(rows[i].metric, (double)jobs);
    }
  }
}
