/* watchers.c - telling clients what happened to the jobs they watch.
 *
 * An event from Redis carries what changed and the record's version. Steps, starts and images are
 * passed on as they are; where more is to be told (the end, the error of a lost attempt, a new
 * position) the watch becomes due and a snapshot is fetched in the next turn. A watcher never hears
 * a version it has heard.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/job_name.h"
#include "broker/verbs.h"
#include "monitoring/log.h"
#include "proto/job.h"

/* True when it was told. One that does not read is told by a snapshot once it has read: it misses
 * what lay between, and never the end. */
static bool send_event(struct turn *turn, struct watch *watch, struct watcher *watcher,
                       Darkroom__V1__Event *event) {
  event->id = (char *)job_name_id(watch->name);
  enum door_sent sent = turn_tell(turn, &watcher->peer, WIRE_EVENT, &event->base);
  if (sent == DOOR_GONE || sent == DOOR_TOO_LARGE) {
    waiting_unwatch(turn->waiting, watcher);
  }
  return sent == DOOR_SENT;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static Darkroom__V1__EventKind kind_of(const struct watch *watch,
                                       const Darkroom__V1__JobStatus *status) {
  static const Darkroom__V1__EventKind kinds[] = {
      [DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED] = DARKROOM__V1__EVENT_KIND__EVENT_QUEUED,
      [DARKROOM__V1__JOB_STATE__JOB_STATE_ASSIGNED] = DARKROOM__V1__EVENT_KIND__EVENT_QUEUED,
      [DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING] = DARKROOM__V1__EVENT_KIND__EVENT_STARTED,
      [DARKROOM__V1__JOB_STATE__JOB_STATE_DELAYED] = DARKROOM__V1__EVENT_KIND__EVENT_REQUEUED,
  };
  if (job_state_terminal(status->state)) {
    return DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL;
  }
  return watch->requeued ? DARKROOM__V1__EVENT_KIND__EVENT_REQUEUED : kinds[status->state];
}

void verb_tell_status(struct turn *turn, struct watch *watch, struct watcher *watcher,
                      const Darkroom__V1__JobStatus *status) {
  bool moved = status->has_position && status->position != watcher->position;
  watch->queued = status->state == DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED;
  if (status->version < watcher->version || (status->version == watcher->version && !moved)) {
    return;
  }
  Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
  event.has_kind = event.has_version = event.has_state = true;
  event.kind = kind_of(watch, status);
  event.version = status->version;
  event.state = status->state;
  event.has_position = watch->queued;
  event.position = status->position;
  event.has_step = status->has_step;
  event.step = status->step;
  event.has_steps = status->has_steps;
  event.steps = status->steps;
  event.error = status->error;
  bool terminal = event.kind == DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL;
  event.worker = watch->queued ? NULL : status->worker;
  event.status = terminal ? (Darkroom__V1__JobStatus *)status : NULL;
  if (!send_event(turn, watch, watcher, &event)) {
    return;
  }
  watcher->version = status->version;
  watcher->position = status->position;
  if (terminal) {
    waiting_unwatch(turn->waiting, watcher);
  }
}

enum status verb_tell_snapshot(struct turn *turn, const char *job, size_t call) {
  struct watch *watch = waiting_watch_of(turn->waiting, job);
  if (watch == NULL) {
    return OK;
  }
  Darkroom__V1__JobStatus *status = NULL;
  enum status got = queue_get_reply(turn->redis, call, turn->arena, false, &status);
  if (got != OK) {
    waiting_make_due(turn->waiting, watch);
    return got;
  }
  if (status == NULL) { /* forgotten while it was watched */
    waiting_unwatch_all(turn->waiting, watch);
    return OK;
  }
  status->id = (char *)job_name_id(job);
  for (struct watcher *watcher = watch->first, *next; watcher != NULL; watcher = next) {
    next = watcher->next;
    verb_tell_status(turn, watch, watcher, status); /* may end the watch, with its last watcher */
  }
  watch = waiting_watch_of(turn->waiting, job);
  if (watch != NULL) {
    watch->requeued = false;
  }
  return OK;
}

static enum status snapshot_ask(struct turn *turn, struct request *request) {
  char tenant[JOB_ID_BYTES_MAX + 1];
  request->call =
      queue_get(turn->redis, request->subject, job_name_tenant(request->subject, tenant));
  return OK;
}

static enum status snapshot_answer(struct turn *turn, struct request *request) {
  return verb_tell_snapshot(turn, request->subject, request->call);
}

const struct verb errand_snapshot = {"snapshot", snapshot_ask, snapshot_answer};

/* ---- events ---------------------------------------------------------------------------------- */

/* An event taken apart: KIND id version, and what the kind adds. */
struct news {
  char kind[16];
  char job[JOB_NAME_TEXT_MAX]; /* its name */
  uint64_t version;
  const char *rest;
  size_t rest_bytes;
};

/* Copies the next word; the words of an event are separated by single spaces. */
static bool take_word(const char **text, const char *end, char *out, size_t size) {
  const char *space = memchr(*text, ' ', (size_t)(end - *text));
  size_t length = (size_t)((space != NULL ? space : end) - *text);
  if (length == 0 || length >= size) {
    return false;
  }
  memcpy(out, *text, length);
  out[length] = '\0';
  *text = space != NULL ? space + 1 : end;
  return true;
}

static bool parse(const char *text, size_t bytes, struct news *news) {
  const char *end = text + bytes;
  char version[24];
  if (!take_word(&text, end, news->kind, sizeof news->kind) ||
      !take_word(&text, end, news->job, sizeof news->job) ||
      !take_word(&text, end, version, sizeof version)) {
    return false;
  }
  news->version = strtoull(version, NULL, 10);
  news->rest = text;
  news->rest_bytes = (size_t)(end - text);
  return true;
}

/* Sends the same event to every watcher who has not heard its version. Events come in the order of
 * the record's changes, but a snapshot may have overtaken them: the version tells. */
static void tell_all(struct turn *turn, struct watch *watch, const struct news *news,
                     Darkroom__V1__Event *event) {
  event->has_kind = event->has_version = event->has_state = true;
  event->version = news->version;
  event->state = DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING;
  watch->queued = false;
  for (struct watcher *watcher = watch->first, *next; watcher != NULL; watcher = next) {
    next = watcher->next;
    /* told beside the step of the same version */
    bool image = event->kind == DARKROOM__V1__EVENT_KIND__EVENT_IMAGE ||
                 event->kind == DARKROOM__V1__EVENT_KIND__EVENT_PREVIEW;
    if (watcher->version < news->version || (image && watcher->version == news->version)) {
      if (send_event(turn, watch, watcher, event)) {
        watcher->version = news->version;
      }
    }
  }
}

static void tell_started(struct turn *turn, struct watch *watch, const struct news *news) {
  char fence[24], worker[JOB_ID_BYTES_MAX + 1];
  const char *rest = news->rest, *end = news->rest + news->rest_bytes;
  if (take_word(&rest, end, fence, sizeof fence) && take_word(&rest, end, worker, sizeof worker)) {
    Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
    event.kind = DARKROOM__V1__EVENT_KIND__EVENT_STARTED;
    event.worker = worker;
    event.has_fence = true;
    event.fence = strtoull(fence, NULL, 10);
    tell_all(turn, watch, news, &event);
  }
}

static void tell_cancelling(struct turn *turn, struct watch *watch, const struct news *news) {
  Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
  event.kind = DARKROOM__V1__EVENT_KIND__EVENT_CANCELLING;
  tell_all(turn, watch, news, &event);
}

static void tell_step(struct turn *turn, struct watch *watch, const struct news *news) {
  char step[16], steps[16];
  const char *rest = news->rest, *end = news->rest + news->rest_bytes;
  if (take_word(&rest, end, step, sizeof step) && take_word(&rest, end, steps, sizeof steps)) {
    Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
    event.kind = DARKROOM__V1__EVENT_KIND__EVENT_STEP;
    event.has_step = event.has_steps = true;
    event.step = (uint32_t)strtoul(step, NULL, 10);
    event.steps = (uint32_t)strtoul(steps, NULL, 10);
    tell_all(turn, watch, news, &event);
  }
}

static void tell_previews(struct turn *turn, struct watch *watch, const struct news *news,
                          const Darkroom__V1__Progress *progress) {
  for (size_t i = 0; i < progress->n_preview && waiting_watch_of(turn->waiting, news->job) != NULL;
       i++) {
    Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
    event.kind = DARKROOM__V1__EVENT_KIND__EVENT_PREVIEW;
    event.preview = progress->preview[i];
    tell_all(turn, watch, news, &event);
  }
}

static void tell_images(struct turn *turn, struct watch *watch, const struct news *news) {
  struct arena_mark mark = arena_mark(turn->arena);
  ProtobufCMessage *message = NULL;
  if (wire_unpack_type(&darkroom__v1__progress__descriptor, (const uint8_t *)news->rest,
                       news->rest_bytes, turn->arena, &message, NULL) == OK) {
    const Darkroom__V1__Progress *progress = (const Darkroom__V1__Progress *)message;
    for (size_t i = 0; i < progress->n_image && waiting_watch_of(turn->waiting, news->job) != NULL;
         i++) {
      Darkroom__V1__Event event = DARKROOM__V1__EVENT__INIT;
      event.kind = DARKROOM__V1__EVENT_KIND__EVENT_IMAGE;
      event.image = progress->image[i];
      tell_all(turn, watch, news, &event);
    }
    tell_previews(turn, watch, news, progress);
  }
  arena_release(turn->arena, mark);
}

static void make_due(struct turn *turn, struct watch *watch, const struct news *news) {
  waiting_make_due(turn->waiting, watch);
  watch->requeued = watch->requeued || strcmp(news->kind, "REQUEUED") == 0;
}

static const struct {
  const char *kind;
  void (*tell)(struct turn *turn, struct watch *watch, const struct news *news);
} kinds[] = {
    {"STEP", tell_step},
    {"STARTED", tell_started},
    {"IMAGE", tell_images},
    {"QUEUED", make_due},
    {"REQUEUED", make_due},
    {"TERMINAL", make_due},
    {"CANCELLING", tell_cancelling},
};

/* "origin model"; our own submits were offered in their own pipeline. hiredis ends every text with
 * a NUL. */
static void take_wake(struct turn *turn, const char *text, size_t bytes) {
  const char *end = text + bytes;
  char origin[sizeof turn->name];
  if (take_word(&text, end, origin, sizeof origin) && strcmp(origin, turn->name) != 0) {
    (void)waiting_wake(turn->waiting, text);
  }
}

/* Called from redis_serve, between turns: nothing may be asked here, only noted for the next turn,
 * or sent to watchers as it is. */
void turn_event(void *context, const char *text, size_t bytes) {
  struct turn *turn = context;
  struct news news;
  if (text == NULL) { /* some may have been missed */
    waiting_all_due(turn->waiting, false);
    waiting_wake_all(turn->waiting);
    turn->fleet_due = true;
    return;
  }
  if (bytes > 5 && memcmp(text, "WAKE ", 5) == 0) {
    take_wake(turn, text + 5, bytes - 5);
    return;
  }
  if (bytes == 5 && memcmp(text, "FLEET", 5) == 0) {
    turn->fleet_due = true;
    return;
  }
  struct watch *watch =
      parse(text, bytes, &news) ? waiting_watch_of(turn->waiting, news.job) : NULL;
  for (size_t i = 0; watch != NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcmp(kinds[i].kind, news.kind) == 0) {
      kinds[i].tell(turn, watch, &news);
      return;
    }
  }
}
