/* queue.c - the asking half: arguments in the order that the head of each script says. */
#include "broker/queue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "broker/fleet.h"
#include "broker/reply.h"
#include "broker/terms.h"
#include "broker/upkeep.h"
#include "proto/job.h"

_Static_assert(CODE_WORKER_LOST == DARKROOM__V1__ERROR_CODE__ERROR_WORKER_LOST,
               "the scripts store the contract's number");
_Static_assert(REDIS_CALL_ARGUMENTS_MAX >= 7 + 5 * SCRIPT_LOOP_MAX,
               "a beat of the most jobs fits in a call");

enum { COST_PIXELS = 64 };

static uint64_t pass_cost(uint32_t width, uint32_t height, uint64_t steps) {
  return ((uint64_t)width * height + COST_PIXELS - 1) / COST_PIXELS * steps;
}

/* What a job costs its tenant: U-Net rows times latent pixels, of both passes. Only its proportion
 * to other jobs matters. */
static uint64_t job_cost(const Darkroom__V1__Job *job) {
  const Darkroom__V1__Upscale *upscale = job->upscale;
  uint64_t rows = job->guidance_scale > 1 ? 2 : 1;
  uint64_t cost = pass_cost(job->width, job->height, job->steps);
  if (upscale != NULL) {
    uint32_t steps = upscale->has_steps ? upscale->steps : job->steps;
    cost += pass_cost(upscale->width, upscale->height, (uint64_t)ceil(steps * upscale->strength));
  }
  return rows * job->images * cost;
}

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* What a worker's limit is held against: memory goes with the longest side of any pass. */
static uint32_t job_side(const Darkroom__V1__Job *job) {
  return larger(larger(job->width, job->height),
                larger(job_picture_width(job), job_picture_height(job)));
}

/* The job goes along packed, as it was checked: scripts decide by the few fields in front of it and
 * never look inside, so that a new field of the contract is no change of a script. */
size_t queue_submit(struct redis *redis, const struct submission *submission) {
  const Darkroom__V1__Job *job = submission->job;
  redis_begin(redis, SCRIPT_SUBMIT);
  redis_text(redis, submission->name);
  redis_text(redis, submission->digest);
  redis_text(redis, job->tenant);
  redis_text(redis, job->model);
  redis_number(redis, (uint64_t)(job->priority - DARKROOM__V1__PRIORITY__PRIORITY_INTERACTIVE));
  redis_number(redis, job_side(job));
  redis_number(redis, job_cost(job));
  redis_number(redis, job->has_deadline_ms ? job->deadline_ms : 0);
  redis_number(redis, job->seed);
  redis_number(redis, (uint64_t)job->steps * job->images);
  redis_number(redis, submission->queue_max);
  redis_text(redis, submission->origin);
  redis_bytes(redis, submission->packed, submission->packed_bytes);
  redis_text(redis, submission->extras);
  return redis_end(redis);
}

static size_t ask_of_job(struct redis *redis, enum script script, const char *job,
                         const char *tenant) {
  redis_begin(redis, script);
  redis_text(redis, job);
  redis_text(redis, tenant);
  return redis_end(redis);
}

size_t queue_get(struct redis *redis, const char *job, const char *tenant) {
  return ask_of_job(redis, SCRIPT_GET, job, tenant);
}

size_t queue_cancel(struct redis *redis, const char *job, const char *tenant) {
  return ask_of_job(redis, SCRIPT_CANCEL, job, tenant);
}

size_t queue_requeue(struct redis *redis, const char *job, const char *tenant) {
  return ask_of_job(redis, SCRIPT_REQUEUE, job, tenant);
}

size_t queue_bury(struct redis *redis, const char *job, const char *tenant) {
  return ask_of_job(redis, SCRIPT_BURY, job, tenant);
}

size_t queue_explain(struct redis *redis, const char *job, const char *tenant) {
  return ask_of_job(redis, SCRIPT_EXPLAIN, job, tenant);
}

size_t queue_list(struct redis *redis, Darkroom__V1__JobState state, const char *tenant,
                  size_t from, size_t count) {
  redis_begin(redis, SCRIPT_LIST);
  redis_text(redis, state == 0 ? "" : reply_state_word(state));
  redis_text(redis, tenant);
  redis_number(redis, from);
  redis_number(redis, count);
  return redis_end(redis);
}

/* The bytes are copied into the call, so the arena gets its memory back at once. */
static void put_packed(struct redis *redis, const ProtobufCMessage *message, struct arena *arena) {
  struct arena_mark mark = arena_mark(arena);
  size_t bytes = protobuf_c_message_get_packed_size(message);
  uint8_t *packed = arena_take(arena, bytes);
  redis_bytes(redis, packed, packed != NULL ? protobuf_c_message_pack(message, packed) : 0);
  arena_release(arena, mark);
}

/* Token and host, then a line for each thing that a job may name: its kind (0: a model) and id; and
 * for each model that a tiny decoder is there for. */
static void put_identity(struct redis *redis, const Darkroom__V1__Hello *hello,
                         struct arena *arena) {
  enum { LINE_BYTES_MAX = JOB_NAME_BYTES_MAX + 16 };
  struct arena_mark mark = arena_mark(arena);
  size_t room = WORKER_TOKEN_BYTES_MAX + WORKER_HOST_BYTES_MAX + 2 +
                (2 * hello->n_model + hello->n_extra) * LINE_BYTES_MAX;
  char *text = arena_take(arena, room);
  if (text == NULL) {
    return; /* as a daemon of before, which said none of this */
  }
  size_t used = (size_t)snprintf(text, room, "%s %s", hello->token != NULL ? hello->token : "",
                                 hello->host != NULL ? hello->host : "");
  for (size_t i = 0; i < hello->n_model; i++) {
    const Darkroom__V1__ModelInfo *model = hello->model[i];
    used += (size_t)snprintf(text + used, room - used, "\n0 %s", model->id);
    if (hello_has_tiny(hello, model)) {
      used += (size_t)snprintf(text + used, room - used, "\n" HINT_TINY, model->id);
    }
  }
  for (size_t i = 0; i < hello->n_extra; i++) {
    used += (size_t)snprintf(text + used, room - used, "\n%d %s", (int)hello->extra[i]->kind,
                             hello->extra[i]->id);
  }
  redis_text(redis, text);
  arena_release(arena, mark);
}

size_t queue_hello(struct redis *redis, const Darkroom__V1__Hello *hello, const char *via,
                   struct arena *arena) {
  redis_begin(redis, SCRIPT_WORKER_HELLO);
  redis_text(redis, hello->worker);
  redis_text(redis, via);
  redis_number(redis, hello->slots);
  redis_text(redis, hello->default_model != NULL ? hello->default_model : "");
  put_packed(redis, &hello->base, arena);
  for (size_t i = 0; i < hello->n_model && i < MODELS_MAX; i++) {
    redis_text(redis, hello->model[i]->id);
    put_packed(redis, &hello->model[i]->base, arena);
  }
  put_identity(redis, hello, arena);
  return redis_end(redis);
}

/* What every word of a worker begins with: scripts compare the generation before anything else, so
 * a daemon that was started again has silenced its former self. */
static void begin_of_worker(struct redis *redis, enum script script, const char *worker,
                            uint64_t generation) {
  redis_begin(redis, script);
  redis_text(redis, worker);
  redis_number(redis, generation);
}

size_t queue_claim(struct redis *redis, const struct claim *claim) {
  begin_of_worker(redis, SCRIPT_CLAIM, claim->worker, claim->generation);
  redis_text(redis, claim->via);
  redis_number(redis, claim->fresh ? 1 : 0);
  for (size_t i = 0; i < claim->count; i++) {
    redis_text(redis, claim->credit[i]->model);
    redis_number(redis, claim->credit[i]->jobs);
    redis_number(redis, claim->credit[i]->max_side);
  }
  redis_number(redis, claim->jobs);
  if (claim->alone != ALONE_UNHEARD_OF) {
    redis_number(redis, claim->alone == ALONE_WILLING ? 1 : 0);
  }
  return redis_end(redis);
}

/* And every word about a job: the whole of (worker, generation, id, fence) is compared there,
 * equal; the broker judges none of it, so that a broker that knows less can let nothing through. */
static void begin_of_lease(struct redis *redis, enum script script, const struct lease *lease) {
  begin_of_worker(redis, script, lease->worker, lease->generation);
  redis_text(redis, lease->job);
  redis_number(redis, lease->fence);
}

size_t queue_start(struct redis *redis, const struct lease *lease) {
  begin_of_lease(redis, SCRIPT_START, lease);
  return redis_end(redis);
}

size_t queue_complete(struct redis *redis, const struct lease *lease, const uint8_t *result,
                      size_t result_bytes) {
  begin_of_lease(redis, SCRIPT_COMPLETE, lease);
  redis_bytes(redis, result, result_bytes);
  return redis_end(redis);
}

size_t queue_fail(struct redis *redis, const struct lease *lease, const struct failure *failure) {
  static const char *const kinds[] = {
      [DARKROOM__V1__FAIL_KIND__FAIL_RETRY] = "RETRY",
      [DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT] = "PERMANENT",
      [DARKROOM__V1__FAIL_KIND__FAIL_CRASH] = "CRASH",
      [DARKROOM__V1__FAIL_KIND__FAIL_CANCELLED] = "CANCELLED",
      [DARKROOM__V1__FAIL_KIND__FAIL_LOST] = "LOST",
  };
  begin_of_lease(redis, SCRIPT_FAIL, lease);
  redis_text(redis, kinds[failure->kind]);
  redis_number(redis, failure->code);
  redis_text(redis, failure->text);
  redis_number(redis, failure->jitter);
  redis_text(redis, failure->field);
  return redis_end(redis);
}

size_t queue_release(struct redis *redis, const struct lease *lease) {
  begin_of_lease(redis, SCRIPT_RELEASE, lease);
  return redis_end(redis);
}

size_t queue_bye(struct redis *redis, const char *worker, uint64_t generation) {
  begin_of_worker(redis, SCRIPT_WORKER_BYE, worker, generation);
  return redis_end(redis);
}

size_t queue_gone(struct redis *redis, const char *worker, uint64_t generation, const char *via) {
  begin_of_worker(redis, SCRIPT_WORKER_GONE, worker, generation);
  redis_text(redis, via);
  return redis_end(redis);
}

/* The stored images of a progress report, as a Progress message that has nothing else; none: no
 * bytes. */
static void put_images(struct redis *redis, const Darkroom__V1__Progress *progress,
                       struct arena *arena) {
  Darkroom__V1__Progress images = DARKROOM__V1__PROGRESS__INIT;
  images.n_image = progress->n_image;
  images.image = progress->image;
  images.n_preview = progress->n_preview; /* passed on to who watches now, and kept nowhere */
  images.preview = progress->preview;
  put_packed(redis, &images.base, arena);
}

/* How a device says that it takes no more jobs. */
static const char *cordon_words(const Darkroom__V1__Devices *devices, struct arena *arena) {
  for (size_t i = 0; devices != NULL && i < devices->n_device; i++) {
    const Darkroom__V1__DeviceInfo *device = devices->device[i];
    if (device->state != NULL && strcmp(device->state, "cordoned") == 0) {
      const char *name = device->name != NULL ? device->name : "a device";
      const char *reason = device->reason != NULL ? device->reason : "";
      size_t bytes = strlen(name) + strlen(reason) + sizeof ": ";
      char *words = arena_take(arena, bytes);
      if (words != NULL) {
        snprintf(words, bytes, "%s: %s", name, reason);
        return words;
      }
    }
  }
  return "";
}

/* Its devices and what one of them is cordoned for; no bytes: as they were told last. */
static void put_devices(struct redis *redis, const Darkroom__V1__Devices *devices,
                        struct arena *arena) {
  if (devices != NULL) {
    put_packed(redis, &devices->base, arena);
  } else {
    redis_text(redis, "");
  }
  redis_text(redis, cordon_words(devices, arena));
}

size_t queue_beat(struct redis *redis, const Darkroom__V1__Beat *beat, const char *via,
                  struct arena *arena) {
  begin_of_worker(redis, SCRIPT_BEAT, beat->worker, beat->generation);
  redis_text(redis, via);
  redis_number(redis, beat->has_draining && beat->draining ? 1 : 0);
  redis_text(redis, beat->trouble != NULL ? beat->trouble : "");
  put_devices(redis, beat->devices, arena);
  for (size_t i = 0; i < beat->n_progress; i++) {
    const Darkroom__V1__Progress *progress = beat->progress[i];
    redis_text(redis, progress->id);
    redis_number(redis, progress->fence);
    redis_number(redis, progress->step);
    redis_number(redis, progress->steps);
    put_images(redis, progress, arena);
  }
  return redis_end(redis);
}

static size_t ask_plainly(struct redis *redis, enum script script) {
  redis_begin(redis, script);
  return redis_end(redis);
}

size_t queue_tick(struct redis *redis) { return ask_plainly(redis, SCRIPT_TICK); }

size_t queue_sweep(struct redis *redis, uint64_t retention_ms) {
  redis_begin(redis, SCRIPT_SWEEP);
  redis_number(redis, retention_ms);
  return redis_end(redis);
}

size_t queue_fleet(struct redis *redis, bool devices) {
  redis_begin(redis, SCRIPT_FLEET);
  redis_number(redis, devices ? 1 : 0);
  return redis_end(redis);
}

size_t queue_trial(struct redis *redis) { return ask_plainly(redis, SCRIPT_TRIAL); }

size_t queue_stats(struct redis *redis) { return ask_plainly(redis, SCRIPT_STATS); }

size_t queue_audit(struct redis *redis) { return ask_plainly(redis, SCRIPT_AUDIT); }
