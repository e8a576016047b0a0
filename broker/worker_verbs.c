/* worker_verbs.c - hello claim start beat complete fail release bye. The broker relays: only the
 * fence decides, in Lua. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/job_name.h"
#include "broker/reply.h"
#include "broker/terms.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum {
  ERROR_TEXT_BYTES_MAX = 500,
  RESULT_BYTES_MAX = 128 * 1024, /* with the job beside it, a status still fits in a frame */
};

static enum status missing(struct request *request, const char *field, const char *limit) {
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, limit,
                "%s is missing or out of range", field);
}

static enum status check_model(struct request *request, const char *model) {
  bool fine = model != NULL && model[0] != '\0' && strlen(model) <= JOB_MODEL_BYTES_MAX &&
              strchr(model, '\n') == NULL;
  return fine ? OK : missing(request, "model", "1..128 bytes");
}

/* What it offers it will be given: prompts of everybody who asks for that model. */
static enum status may_offer(struct request *request, const char *model) {
  enum status status = identity_may_offer(request->peer.who, model, &request->why);
  if (status != OK) {
    metric_add_labelled(M_REQUESTS_FORBIDDEN, "model", 1);
  }
  return status;
}

/* ---- hello, bye ------------------------------------------------------------------------------ */

static bool has_control(const char *text) {
  while (*text != '\0' && (unsigned char)*text >= ' ' && *text != 127) {
    text++;
  }
  return *text != '\0';
}

static enum status check_extras(struct request *request, const Darkroom__V1__Hello *hello) {
  if (hello->n_extra > EXTRAS_MAX) {
    return missing(request, "extra", "0..256 extras");
  }
  for (size_t i = 0; i < hello->n_extra; i++) {
    const Darkroom__V1__ExtraInfo *extra = hello->extra[i];
    bool known = extra->has_kind && extra->kind >= DARKROOM__V1__EXTRA_KIND__EXTRA_CONTROL &&
                 extra->kind <= DARKROOM__V1__EXTRA_KIND__EXTRA_TINY;
    if (!known || extra->id == NULL || extra->id[0] == '\0' ||
        strlen(extra->id) > JOB_NAME_BYTES_MAX || has_control(extra->id)) {
      return missing(request, "extra", "a kind and an id of 1..128 bytes");
    }
  }
  return OK;
}

/* What the fleet's jobs without a model get is not every worker's to say: the HELLO of one that may
 * not is taken without it. */
static void drop_default_model(struct request *request, Darkroom__V1__Hello *hello) {
  const struct identity *who = request->peer.who;
  if (who->tenant != NULL && hello->default_model != NULL &&
      strcmp(hello->default_model, who->row.default_model) != 0) {
    hello->default_model = NULL;
  }
}

/* default_side is what a job without a size gets, so a model without one is refused here. */
enum status hello_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Hello *hello = (const Darkroom__V1__Hello *)request->message;
  TRY(verb_check_worker(request, hello->worker));
  if (hello->n_model > MODELS_MAX) {
    return missing(request, "model", "0..64 models");
  }
  for (size_t i = 0; i < hello->n_model; i++) {
    TRY(check_model(request, hello->model[i]->id));
    TRY(may_offer(request, hello->model[i]->id));
    if (hello->model[i]->default_side == 0) {
      return missing(request, "default_side", "1 or more pixels");
    }
  }
  TRY(check_extras(request, hello));
  if (hello->token != NULL) {
    TRY(verb_check_id(request, "token", hello->token));
  }
  if (hello->host != NULL &&
      (strlen(hello->host) > WORKER_HOST_BYTES_MAX || has_control(hello->host))) {
    return missing(request, "host", "0..64 bytes without control characters");
  }
  drop_default_model(request, (Darkroom__V1__Hello *)request->message);
  request->call = queue_hello(turn->redis, hello, turn->name, turn->arena);
  return OK;
}

/* Two daemons that take each other's jobs away by turns would bring every job of the fleet to its
 * last attempt: so the one that came later is told who has the name, and waits until it is free. */
static enum status refuse_namesake(struct request *request, const Darkroom__V1__Hello *hello,
                                   const struct namesake *taken) {
  enum { NAME_AGAIN_MS = 2000 };
  time_t since = (time_t)(taken->since_us / 1000000);
  struct tm utc;
  char text[32] = "";
  if (gmtime_r(&since, &utc) != NULL) {
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  }
  log_warning("name_taken", log_text("worker", hello->worker), log_text("by", taken->host),
              log_text("since", text),
              log_text("asked_by", hello->host != NULL ? hello->host : ""));
  enum status status = refuse(
      &request->why, DARKROOM__V1__ERROR_CODE__ERROR_CONFLICT, "worker", "one daemon a name",
      "the name %s is taken by %s since %s (heard %.1f s ago)", hello->worker,
      taken->host[0] != '\0' ? taken->host : "another daemon", text, (double)taken->heard_ms / 1e3);
  request->why.retry_after_ms = NAME_AGAIN_MS;
  return status;
}

enum status hello_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Hello *hello = (const Darkroom__V1__Hello *)request->message;
  Darkroom__V1__Welcome answer = DARKROOM__V1__WELCOME__INIT;
  struct namesake taken;
  TRY(queue_hello_reply(turn->redis, request->call, &answer.generation, &taken));
  if (answer.generation == 0) {
    return refuse_namesake(request, hello, &taken);
  }
  answer.has_generation = answer.has_beat_ms = answer.has_lease_ms = true;
  answer.beat_ms = BEAT_MS;
  answer.lease_ms = LEASE_RUNNING_MS;
  turn->fleet_due = true;
  log_event("worker_ready", log_text("worker", hello->worker),
            log_count("generation", answer.generation), log_count("models", hello->n_model),
            log_count("slots", hello->slots));
  turn_send(turn, &request->peer, WIRE_WELCOME, &answer.base);
  return OK;
}

enum status bye_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Bye *bye = (const Darkroom__V1__Bye *)request->message;
  TRY(verb_check_worker(request, bye->worker));
  request->call = queue_bye(turn->redis, bye->worker, bye->generation);
  return OK;
}

/* The queue comes first, the credits after: had they been dropped without an answer from Redis, a
 * BYE that did not happen would leave a worker that is offered nothing. */
enum status bye_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Bye *bye = (const Darkroom__V1__Bye *)request->message;
  Darkroom__V1__Ack answer = DARKROOM__V1__ACK__INIT;
  const char *detail;
  TRY(queue_ack_reply(turn->redis, request->call, &answer.result, &detail));
  struct waiter *waiter = waiting_worker(turn->waiting, bye->worker);
  if (waiter != NULL && waiter->generation == bye->generation) {
    waiting_drop(turn->waiting, waiter);
  }
  answer.has_result = true;
  if (answer.result == DARKROOM__V1__ACK_RESULT__ACK_OK) {
    log_event("worker_left", log_text("worker", bye->worker),
              log_count("generation", bye->generation));
  }
  turn_send(turn, &request->peer, WIRE_ACK, &answer.base);
  return OK;
}

/* ---- claim: the credits stay here, the offers follow in the same turn ------------------------ */

/* No script is called: a CLAIM only says what may be pushed, and the offer at the end of the turn
 * does the claiming. Its answer is the jobs, if and when there are any. */
enum status claim_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Claim *claim = (const Darkroom__V1__Claim *)request->message;
  TRY(verb_check_worker(request, claim->worker));
  if (claim->n_credit > WORKER_CREDITS_MAX) {
    return missing(request, "credit", "0..64 models");
  }
  if (claim->jobs > SCRIPT_LOOP_MAX) {
    return missing(request, "jobs", "0..100");
  }
  for (size_t i = 0; i < claim->n_credit; i++) {
    TRY(check_model(request, claim->credit[i]->model));
    TRY(may_offer(request, claim->credit[i]->model));
    if (claim->credit[i]->jobs > SCRIPT_LOOP_MAX) {
      return missing(request, "jobs", "0..100");
    }
  }
  return waiting_claim(turn->waiting, claim, &request->peer);
}

enum status claim_answer(struct turn *turn, struct request *request) {
  (void)turn;
  (void)request;
  return OK;
}

/* ---- start, complete, fail, release: one attempt, one ACK ------------------------------------ */

static enum status check_lease(struct request *request, const struct lease *lease) {
  TRY(verb_check_worker(request, lease->worker));
  return lease->fence != 0 ? OK : missing(request, "fence", "1 or more");
}

/* Reads the reply and sends the ACK; *detail is what the script added. */
static enum status acknowledge(struct turn *turn, struct request *request,
                               const struct lease *lease, bool *live, const char **detail) {
  Darkroom__V1__Ack answer = DARKROOM__V1__ACK__INIT;
  TRY(queue_ack_reply(turn->redis, request->call, &answer.result, detail));
  answer.id = (char *)job_name_id(lease->job);
  answer.has_fence = answer.has_result = true;
  answer.fence = lease->fence;
  *live = answer.result == DARKROOM__V1__ACK_RESULT__ACK_OK;
  if (answer.result == DARKROOM__V1__ACK_RESULT__ACK_STALE ||
      answer.result == DARKROOM__V1__ACK_RESULT__ACK_GONE) {
    metric_add(M_STALE_REFUSED, 1);
    log_warning("stale_refused", log_text("verb", request->verb->name), log_text("job", lease->job),
                log_text("worker", lease->worker), log_count("fence", lease->fence));
  }
  turn_send(turn, &request->peer, WIRE_ACK, &answer.base);
  return OK;
}

/* The four messages name their lease alike, in types of their own. The job's name is made once, by
 * NAME_OF, and stays with the request. */
#define NAME_OF(turn, request, message) \
  verb_take_lease(turn, request, (message)->tenant, (message)->id)
#define LEASE_OF(request, message) \
  (struct lease) { (message)->worker, (message)->generation, (request)->job, (message)->fence }

enum status start_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Start *start = (const Darkroom__V1__Start *)request->message;
  TRY(NAME_OF(turn, request, start));
  struct lease lease = LEASE_OF(request, start);
  TRY(check_lease(request, &lease));
  request->call = queue_start(turn->redis, &lease);
  return OK;
}

enum status start_answer(struct turn *turn, struct request *request) {
  struct lease lease = LEASE_OF(request, (const Darkroom__V1__Start *)request->message);
  bool live = false;
  const char *queue_us;
  TRY(acknowledge(turn, request, &lease, &live, &queue_us));
  if (live) {
    metric_add(M_JOBS_STARTED, 1);
    metric_observe(M_QUEUE_WAIT, strtod(queue_us, NULL) / 1e6);
    log_event("job_started", log_text("job", lease.job), log_text("worker", lease.worker),
              log_count("fence", lease.fence));
  }
  return OK;
}

/* What is kept of a success is what its status will say: the images and where the time went. */
enum status complete_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Complete *complete = (const Darkroom__V1__Complete *)request->message;
  TRY(NAME_OF(turn, request, complete));
  struct lease lease = LEASE_OF(request, complete);
  TRY(check_lease(request, &lease));
  if (complete->n_image > JOB_IMAGES_MAX) {
    return missing(request, "image", "0..64 images");
  }
  Darkroom__V1__JobStatus result = DARKROOM__V1__JOB_STATUS__INIT;
  result.images = complete->image;
  result.n_images = complete->n_image;
  result.warning = complete->warning;
  result.n_warning =
      complete->n_warning < JOB_WARNINGS_MAX ? complete->n_warning : JOB_WARNINGS_MAX;
  result.timings = complete->timings;
  size_t bytes = protobuf_c_message_get_packed_size(&result.base);
  if (bytes > RESULT_BYTES_MAX) {
    return missing(request, "image", "128 KiB in all");
  }
  uint8_t *packed = arena_take(turn->arena, bytes);
  if (packed == NULL) {
    return EXHAUSTED;
  }
  request->call =
      queue_complete(turn->redis, &lease, packed, protobuf_c_message_pack(&result.base, packed));
  request->calls = 1;
  if (waiting_watch_of(turn->waiting, lease.job) !=
      NULL) { /* told from this pipeline, sooner than by the event */
    char tenant[JOB_ID_BYTES_MAX + 1];
    (void)queue_get(turn->redis, lease.job, job_name_tenant(lease.job, tenant));
    request->calls = 2;
  }
  return OK;
}

enum status complete_answer(struct turn *turn, struct request *request) {
  struct lease lease = LEASE_OF(request, (const Darkroom__V1__Complete *)request->message);
  bool live = false;
  const char *total_us;
  TRY(acknowledge(turn, request, &lease, &live, &total_us));
  if (live) {
    verb_count_ended(DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED, 1);
    metric_observe(M_JOB_DURATION, strtod(total_us, NULL) / 1e6);
    log_event("job_succeeded", log_text("job", lease.job), log_text("worker", lease.worker),
              log_count("fence", lease.fence), log_real("ms", strtod(total_us, NULL) / 1e3, 1));
  }
  if (request->calls == 2) {
    (void)verb_tell_snapshot(turn, lease.job,
                             request->call + 1); /* without an answer the watch stays due */
  }
  return OK;
}

/* At most so many bytes, cut between characters. */
static const char *cut_text(struct turn *turn, const char *text) {
  size_t length = strlen(text);
  if (length <= ERROR_TEXT_BYTES_MAX) {
    return text;
  }
  for (length = ERROR_TEXT_BYTES_MAX; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;
       length--) {
  }
  const char *cut = arena_copy_text(turn->arena, text, length);
  return cut != NULL ? cut : "";
}

enum status fail_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Fail *message = (const Darkroom__V1__Fail *)request->message;
  TRY(NAME_OF(turn, request, message));
  struct lease lease = LEASE_OF(request, message);
  TRY(check_lease(request, &lease));
  bool known = message->kind >= DARKROOM__V1__FAIL_KIND__FAIL_RETRY &&
               message->kind <= DARKROOM__V1__FAIL_KIND__FAIL_LOST;
  if (!message->has_kind || !known) {
    return missing(request, "kind", "retry, permanent, crash, cancelled or lost");
  }
  const Darkroom__V1__Error *error = message->error;
  struct failure failure = {.kind = message->kind,
                            .code = DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL,
                            .text = "",
                            .field = "",
                            .jitter = (unsigned)(random() % 1001)};
  if (error != NULL && error->has_code) {
    failure.code = error->code;
  }
  if (error != NULL && error->message != NULL) {
    failure.text = cut_text(turn, error->message);
  }
  if (error != NULL && error->field != NULL) {
    failure.field = cut_text(turn, error->field);
  }
  request->call = queue_fail(turn->redis, &lease, &failure);
  return OK;
}

enum status fail_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Fail *message = (const Darkroom__V1__Fail *)request->message;
  struct lease lease = LEASE_OF(request, message);
  bool live = false;
  const char *word;
  TRY(acknowledge(turn, request, &lease, &live, &word));
  if (live) {
    Darkroom__V1__JobState state = reply_state(word);
    verb_count_ended(state, 1);
    bool again = state == DARKROOM__V1__JOB_STATE__JOB_STATE_DELAYED ||
                 state == DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED;
    metric_add(M_JOBS_RETRIED, again ? 1 : 0);
    log_event("attempt_failed", log_text("job", lease.job), log_text("worker", lease.worker),
              log_count("fence", lease.fence), log_text("state", word),
              log_text("code", refusal_code_name(message->error != NULL
                                                     ? message->error->code
                                                     : DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL)));
  }
  return OK;
}

enum status release_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Release *release = (const Darkroom__V1__Release *)request->message;
  TRY(NAME_OF(turn, request, release));
  struct lease lease = LEASE_OF(request, release);
  TRY(check_lease(request, &lease));
  request->call = queue_release(turn->redis, &lease);
  return OK;
}

enum status release_answer(struct turn *turn, struct request *request) {
  struct lease lease = LEASE_OF(request, (const Darkroom__V1__Release *)request->message);
  bool live = false;
  const char *detail;
  TRY(acknowledge(turn, request, &lease, &live, &detail));
  if (live) {
    log_event("job_released", log_text("job", lease.job), log_text("worker", lease.worker),
              log_count("fence", lease.fence));
  }
  return OK;
}

/* ---- beat ------------------------------------------------------------------------------------ */

static bool fits(const char *text) {
  return text == NULL || strlen(text) <= WORKER_DEVICE_TEXT_BYTES_MAX;
}

static enum status check_devices(struct request *request, const Darkroom__V1__Devices *devices) {
  if (devices == NULL) {
    return OK;
  }
  if (devices->n_device == 0 || devices->n_device > DEVICES_MAX) {
    return missing(request, "devices", "1..16 devices");
  }
  for (size_t i = 0; i < devices->n_device; i++) {
    const Darkroom__V1__DeviceInfo *device = devices->device[i];
    if (device->name == NULL || !fits(device->name) || !fits(device->model) ||
        !fits(device->uuid) || !fits(device->driver) || !fits(device->runtime) ||
        !fits(device->element) || !fits(device->determinism) || !fits(device->state) ||
        !fits(device->reason)) {
      return missing(request, "devices", "a name, and texts of 0..256 bytes");
    }
  }
  return OK;
}

enum status beat_ask(struct turn *turn, struct request *request) {
  const Darkroom__V1__Beat *beat = (const Darkroom__V1__Beat *)request->message;
  TRY(verb_check_worker(request, beat->worker));
  if (beat->trouble != NULL && strlen(beat->trouble) > ERROR_TEXT_BYTES_MAX) {
    return missing(request, "trouble", "0..500 bytes");
  }
  if (beat->n_progress > SCRIPT_LOOP_MAX) {
    return missing(request, "progress", "0..100 jobs");
  }
  TRY(check_devices(request, beat->devices));
  for (size_t i = 0; i < beat->n_progress; i++) {
    TRY(verb_take_lease(turn, request, beat->progress[i]->tenant, beat->progress[i]->id));
    beat->progress[i]->id = (char *)request->job; /* from here on it is the name */
  }
  request->call = queue_beat(turn->redis, beat, turn->name, turn->arena);
  return OK;
}

enum status beat_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Beat *beat = (const Darkroom__V1__Beat *)request->message;
  Darkroom__V1__Orders answer;
  TRY(queue_beat_reply(turn->redis, request->call, beat, turn->arena, &answer));
  /* The connection matters: after a reconnect pushes to the old one would come back undelivered. */
  const struct waiter *waiter = waiting_worker(turn->waiting, beat->worker);
  bool held_here = waiter != NULL && !waiter->withheld && waiter->generation == beat->generation &&
                   waiter->peer.caller == request->peer.caller;
  answer.has_claim_again = answer.claim_again = !answer.hello_again && !held_here;
  turn_send(turn, &request->peer, WIRE_ORDERS, &answer.base);
  return OK;
}
