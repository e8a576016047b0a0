/* submit.c - SUBMIT: a job is checked, completed from its defaults and from what the fleet can do,
 * and stored. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/text.h"
#include "broker/job_name.h"
#include "broker/upkeep.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"

enum { ID_RANDOM_BYTES = 10, ID_TEXT = 26, DIGEST_TEXT = 2 * JOB_DIGEST_BYTES };

/* What was said when the job was checked; kept from the first ask to the second. */
struct filing {
  Darkroom__V1__Job job;
  char digest[DIGEST_TEXT + 1];
  const char *extras; /* a hint: what it names, a line each */
  bool fleet_asked;
};

static enum status random_bytes(void *out, size_t bytes) {
  return getrandom(out, bytes, 0) == (ssize_t)bytes ? OK : fail(UNAVAILABLE, "no random bytes");
}

/* 48 bits of wall time and 80 random bits in Crockford's base 32: ids sort by the time they were
 * made. */
static enum status make_id(struct turn *turn, char **out) {
  static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";
  uint8_t random[ID_RANDOM_BYTES];
  char id[ID_TEXT + 1];
  TRY(random_bytes(random, sizeof random));
  uint64_t time = (uint64_t)clock_wall_ms();
  for (int i = 9; i >= 0; i--, time >>= 5) {
    id[i] = letters[time & 31];
  }
  for (int i = 0; i < 16; i++) {
    int bit = i * 5, byte = bit / 8;
    unsigned pair =
        (unsigned)random[byte] << 8 | (byte + 1 < ID_RANDOM_BYTES ? random[byte + 1] : 0U);
    id[10 + i] = letters[pair >> (11 - bit % 8) & 31];
  }
  char *copy = arena_copy_text(turn->arena, id, ID_TEXT);
  if (copy == NULL) {
    return EXHAUSTED;
  }
  *out = copy;
  return OK;
}

/* Image k uses seed + k, so the last of them must fit too. */
static enum status draw_seed(Darkroom__V1__Job *job) {
  if (job->has_seed) {
    return OK;
  }
  TRY(random_bytes(&job->seed, sizeof job->seed));
  job->seed = (job->seed & JOB_SEED_MAX) % (JOB_SEED_MAX - job->images);
  job->has_seed = true;
  return OK;
}

/* A fleet that nobody has joined yet is away, not wrong: the client may come again. */
static enum status refuse_unknown(struct turn *turn, struct request *request, const char *model) {
  char known[sizeof request->why.limit] = "";
  size_t used = 0;
  for (size_t i = 0; i < turn->fleet.count && used < sizeof known; i++) {
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                             turn->fleet.model[i].id);
  }
  if (turn->fleet.count == 0) {
    refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE, "model", NULL,
           "no worker has offered a model yet");
    request->why.retry_after_ms = RETRY_AFTER_MS;
    return UNAVAILABLE;
  }
  if (model == NULL) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "model", known,
                  "model is missing and the fleet has no default model");
  }
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, "model", known,
                "unknown model %s", model);
}

/* The largest worker decides: the smaller ones are passed over when it is handed out. */
static enum status check_side(struct request *request, const char *field, uint32_t pixels,
                              const struct fleet_model *model) {
  if (model->largest_side == 0 || pixels <= model->largest_side) {
    return OK;
  }
  char limit[sizeof request->why.limit];
  snprintf(limit, sizeof limit, "8..%u", model->largest_side);
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, field, limit,
                "%s is %u, model %s takes at most %u", field, pixels, model->id,
                model->largest_side);
}

/* Of a job whose own size is known by now. */
static enum status check_upscale(struct request *request, const Darkroom__V1__Job *job,
                                 const struct fleet_model *model) {
  const Darkroom__V1__Upscale *upscale = job->upscale;
  if (upscale->width < job->width || upscale->height < job->height) {
    char limit[sizeof request->why.limit];
    snprintf(limit, sizeof limit, "%ux%u or more", job->width, job->height);
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "upscale", limit,
                  "upscale to %ux%u is smaller than the picture", upscale->width, upscale->height);
  }
  TRY(check_side(request, "upscale.width", upscale->width, model));
  return check_side(request, "upscale.height", upscale->height, model);
}

/* Fills in what depends on the fleet. */
static enum status complete_job(struct turn *turn, struct request *request, Darkroom__V1__Job *job,
                                const struct fleet_model *model) {
  job->model =
      turn_text(turn, "%s", model->id); /* the fleet may be read again before the job is answered */
  if (!job->has_width) {
    job->has_width = true;
    job->width = model->default_side;
  }
  if (!job->has_height) {
    job->has_height = true;
    job->height = model->default_side;
  }
  TRY(check_side(request, "width", job->width, model));
  TRY(check_side(request, "height", job->height, model));
  TRY(job->upscale != NULL ? check_upscale(request, job, model) : OK);
  return draw_seed(job);
}

/* Checks what was sent, once; the digest is of that, so that a repeated submit is known again. */
static enum status file_job(struct turn *turn, struct request *request) {
  const Darkroom__V1__Submit *submit = (const Darkroom__V1__Submit *)request->message;
  if (submit->job == NULL) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "job", NULL,
                  "job is missing");
  }
  TRY(job_check(submit->job, &request->why));
  struct filing *filing = arena_take_zeroed(turn->arena, sizeof *filing);
  if (filing == NULL) {
    return EXHAUSTED;
  }
  filing->job = *submit->job;
  job_defaults(&filing->job);
  uint8_t digest[JOB_DIGEST_BYTES];
  TRY(job_digest(&filing->job, digest));
  text_hex(digest, sizeof digest, filing->digest);
  filing->job.tenant = (char *)request->tenant;
  request->subject = filing;
  TRY(filing->job.id != NULL ? OK : make_id(turn, &filing->job.id));
  return job_name(turn->arena, request->tenant, filing->job.id, &request->job);
}

/* Also a repeated submit comes here: only Redis knows whether the id is known, and a job completed
 * anew is then thrown away by the script, which keeps the first one's seed. */
static enum status store(struct turn *turn, struct request *request, struct filing *filing) {
  size_t bytes = protobuf_c_message_get_packed_size(&filing->job.base);
  uint8_t *packed = arena_take(turn->arena, bytes);
  if (packed == NULL) {
    return EXHAUSTED;
  }
  struct submission submission = {
      .job = &filing->job,
      .name = request->job,
      .digest = filing->digest,
      .extras = filing->extras,
      .packed = packed,
      .packed_bytes = protobuf_c_message_pack(&filing->job.base, packed),
      .queue_max = turn->options.queue_max,
      .origin = turn->name};
  request->call = queue_submit(turn->redis, &submission);
  waiting_wake(turn->waiting, filing->job.model); /* claimed in the same pipeline, right after */
  return OK;
}

/* What a job names beside its model. */
struct wanted {
  int kind; /* an ExtraKind, MODEL_KIND or TINY_FOR */
  const char *field, *id;
};
enum {
  MODEL_KIND = 0,
  TINY_FOR = -1, /* a tiny decoder for the model with this id */
  WANTED_MAX = 2 + CONTROLS_MAX + JOB_ADAPTERS_MAX + JOB_EMBEDDINGS_MAX,
};

static size_t list_wanted(const Darkroom__V1__Job *job, const struct fleet_model *model,
                          struct wanted wanted[WANTED_MAX]) {
  size_t count = 0;
  if (job_wants_tiny(job)) {
    const char *field = job->tiny_decoder ? "tiny_decoder" : "preview_kind";
    wanted[count++] = (struct wanted){TINY_FOR, field, model->id};
  }
  if (job->refiner != NULL) {
    wanted[count++] = (struct wanted){MODEL_KIND, "refiner.model", job->refiner->model};
  }
  for (size_t i = 0; i < job->n_control; i++) {
    wanted[count++] = (struct wanted){DARKROOM__V1__EXTRA_KIND__EXTRA_CONTROL, "control.model",
                                      job->control[i]->model};
  }
  for (size_t i = 0; i < job->n_adapter; i++) {
    if (job->adapter[i]->name != NULL) {
      wanted[count++] = (struct wanted){DARKROOM__V1__EXTRA_KIND__EXTRA_ADAPTER, "adapter.name",
                                        job->adapter[i]->name};
    }
  }
  for (size_t i = 0; i < job->n_embedding; i++) {
    if (job->embedding[i]->name != NULL) {
      wanted[count++] = (struct wanted){DARKROOM__V1__EXTRA_KIND__EXTRA_EMBEDDING, "embedding.name",
                                        job->embedding[i]->name};
    }
  }
  return count;
}

static bool fleet_has(const struct fleet *fleet, const struct wanted *wanted) {
  if (wanted->kind == TINY_FOR) {
    return fleet_has_tiny(fleet, fleet_find(fleet, wanted->id));
  }
  return wanted->kind == MODEL_KIND
             ? fleet_find(fleet, wanted->id) != NULL
             : fleet_has_extra(fleet, (Darkroom__V1__ExtraKind)wanted->kind, wanted->id);
}

/* The first that nobody has; NULL: all are there. */
static const struct wanted *find_missing(const struct fleet *fleet, const struct wanted *wanted,
                                         size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (!fleet_has(fleet, &wanted[i])) {
      return &wanted[i];
    }
  }
  return NULL;
}

static enum status refuse_tiny(struct turn *turn, struct request *request,
                               const struct wanted *missing) {
  char known[sizeof request->why.limit] = "";
  size_t used = 0;
  for (size_t i = 0; i < turn->fleet.count && used < sizeof known; i++) {
    if (turn->fleet.model[i].tiny) {
      used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "",
                               turn->fleet.model[i].id);
    }
  }
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, missing->field,
                used > 0 ? known : "none", "no worker has a tiny decoder for model %s",
                missing->id);
}

static enum status refuse_missing(struct turn *turn, struct request *request,
                                  const struct wanted *missing) {
  if (missing->kind == MODEL_KIND) {
    return refuse_unknown(turn, request, missing->id);
  }
  if (missing->kind == TINY_FOR) {
    return refuse_tiny(turn, request, missing);
  }
  char known[sizeof request->why.limit] = "";
  size_t used = 0;
  for (size_t i = 0; i < turn->fleet.extra_count && used < sizeof known; i++) {
    if ((int)turn->fleet.extra[i].kind == missing->kind) {
      used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used > 0 ? ", " : "",
                               turn->fleet.extra[i].id);
    }
  }
  return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_MODEL, missing->field,
                used > 0 ? known : "none", "no worker has a %s called %s", missing->field,
                missing->id);
}

/* For who hands jobs out, in front of the packed job, which the queue never opens: a line for each,
 * as queue_hello writes them of a worker. */
static const char *extras_hint(struct turn *turn, const struct wanted *wanted, size_t count) {
  const char *hint = "";
  for (size_t i = 0; i < count; i++) {
    const char *line = wanted[i].kind == TINY_FOR
                           ? turn_text(turn, HINT_TINY, wanted[i].id)
                           : turn_text(turn, "%d %s", wanted[i].kind, wanted[i].id);
    hint = turn_text(turn, "%s%s%s", hint, i > 0 ? "\n" : "", line);
  }
  return hint;
}

/* A second round only when something is not in the fleet as this broker knows it: then the fleet is
 * read again first. The job is checked in the first round alone; the second sees the same filing.
 */
enum status submit_ask(struct turn *turn, struct request *request) {
  if (request->round == 0) {
    TRY(file_job(turn, request));
  }
  struct filing *filing = (struct filing *)request->subject;
  if (!redis_up(turn->redis)) {
    return fail(UNAVAILABLE, "the queue is away: %s", redis_why(turn->redis));
  }
  const char *name = filing->job.model != NULL ? filing->job.model : turn->fleet.default_model;
  const struct fleet_model *model = fleet_find(&turn->fleet, name);
  if (model == NULL &&
      !filing->fleet_asked) { /* a worker may have come this moment: look before refusing */
    filing->fleet_asked = true;
    request->call = queue_fleet(turn->redis, false);
    return OK;
  }
  if (model == NULL) {
    return refuse_unknown(turn, request, filing->job.model);
  }
  struct wanted wanted[WANTED_MAX];
  size_t count = list_wanted(&filing->job, model, wanted);
  const struct wanted *missing = find_missing(&turn->fleet, wanted, count);
  if (missing != NULL && !filing->fleet_asked) {
    filing->fleet_asked = true;
    request->call = queue_fleet(turn->redis, false);
    return OK;
  }
  if (missing != NULL) {
    return refuse_missing(turn, request, missing);
  }
  filing->extras = extras_hint(turn, wanted, count);
  filing->fleet_asked = false;
  TRY(complete_job(turn, request, &filing->job, model));
  return store(turn, request, filing);
}

/* The first event of a job that was submitted with watch. One that cannot be watched is accepted
 * all the same, and its client is told so behind SUBMITTED: it would wait for events that never
 * come. */
static void watch_submitted(struct turn *turn, struct request *request,
                            const struct submit_reply *reply) {
  struct watcher *watcher = NULL;
  if (waiting_watch(turn->waiting, request->job, &request->peer, &watcher) != OK) {
    char reason[sizeof request->why.message];
    snprintf(reason, sizeof reason, "%s", fail_reason());
    refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, "watch", NULL,
           "the job is accepted, but not watched: %s", reason);
    request->why.retry_after_ms = RETRY_AFTER_MS;
    turn_refuse(turn, request, EXHAUSTED);
    return;
  }
  struct watch *watch = waiting_watch_of(turn->waiting, request->job);
  if (reply->outcome != SUBMIT_QUEUED) { /* it may be anywhere: fetch a snapshot */
    waiting_make_due(turn->waiting, watch);
    return;
  }
  Darkroom__V1__JobStatus status = DARKROOM__V1__JOB_STATUS__INIT;
  status.id = (char *)job_name_id(request->job);
  status.has_state = status.has_version = status.has_position = true;
  status.state = reply->state;
  status.version = reply->version;
  status.position = reply->position;
  verb_tell_status(turn, watch, watcher, &status);
}

enum status submit_answer(struct turn *turn, struct request *request) {
  const Darkroom__V1__Submit *submit = (const Darkroom__V1__Submit *)request->message;
  const struct filing *filing = request->subject;
  if (filing->fleet_asked) {
    const redisReply *fleet = NULL;
    TRY(queue_fleet_reply(turn->redis, request->call, &fleet));
    TRY(fleet_read(&turn->fleet, fleet, turn->arena));
    request->again = true;
    return OK;
  }
  struct submit_reply reply;
  TRY(queue_submit_reply(turn->redis, request->call, &reply));
  if (reply.outcome == SUBMIT_CONFLICT) {
    return refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_CONFLICT, "id", NULL,
                  "the id is taken by a job with other content");
  }
  if (reply.outcome == SUBMIT_FULL) {
    refuse(&request->why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, NULL, NULL,
           "the queue is full");
    request->why.retry_after_ms = RETRY_AFTER_MS;
    return EXHAUSTED;
  }
  Darkroom__V1__Submitted answer = DARKROOM__V1__SUBMITTED__INIT;
  answer.id = filing->job.id;
  answer.has_state = answer.has_existed = answer.has_seed = true;
  answer.state = reply.state;
  answer.has_position = reply.state == DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED;
  answer.position = reply.position;
  answer.existed = reply.outcome == SUBMIT_EXISTED;
  answer.seed = reply.seed;
  if (!answer.existed) {
    metric_add(M_JOBS_SUBMITTED, 1);
    log_event("job_submitted", log_text("job", request->job), log_text("model", filing->job.model),
              log_text("class", job_priority_name(filing->job.priority)));
  }
  turn_send(turn, &request->peer, WIRE_SUBMITTED, &answer.base);
  if (submit->watch) {
    watch_submitted(turn, request, &reply);
  }
  return OK;
}
