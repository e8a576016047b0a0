/* pictures.c - pictures on their way to the store: made and spooled, then stored; each has one task
 * out or waits for its next try.
 *
 * A picture that is refused waits, whatever the reason: the store's state is no job's fault. While
 * the store is away one picture asks for all, in turn, or a check when none waits.
 */
#include "worker/pictures.h"

#include <stdio.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"
#include "worker/engine/pipe.h"
#include "worker/inputs.h"
#include "worker/outcome.h"

enum { PICTURE_FIRST_MS = 200, PICTURE_MAX_MS = 5000 };

/* sending -------------------------------------------------------------------------------------- */

static struct media_task *task_for(const struct worker *worker, const struct held *held,
                                   enum media_kind kind, uint32_t index) {
  struct media_task *task = media_task(kind, held->id, held->fence);
  if (task == NULL || bytes_append(&task->assign, held->assign.data, held->assign.length) != OK) {
    media_task_close(&task);
    return NULL;
  }
  task->index = index;
  const struct child_model *model =
      child_model(&worker->children.child[held->child], held->job->model);
  if (model != NULL) {
    memcpy(task->model_sha256, model->sha256, sizeof task->model_sha256);
  }
  task->means = held->means;
  return task;
}

static void send(struct worker *worker, struct held *held, struct media_task *task) {
  held->media_out++;
  media_send(worker->media, task);
}

static void fail_for_memory(struct worker *worker, struct held *held) {
  job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
           DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, fail_reason());
}

/* Told by the engine that made it: it may be gone when the picture is stored. */
static struct caption_means means_of(const struct child *child) {
  struct caption_means means = {0};
  size_t kind = strcspn(child->device, ":");
  if (child->hardware.element[0] != '\0' && kind < sizeof means.device) {
    memcpy(means.device, child->device, kind);
    memcpy(means.element, child->hardware.element, sizeof means.element);
    memcpy(means.determinism, child->hardware.determinism, sizeof means.determinism);
  }
  return means;
}

void picture_received(struct worker *worker, struct held *held, uint32_t index, uint32_t width,
                      uint32_t height, struct bytes *rgb) {
  bool sane = index < held->images && held->picture[index].state == PICTURE_MISSING &&
              width == job_picture_width(held->job) && height == job_picture_height(held->job) &&
              rgb->length == (size_t)width * height * 3;
  if (!sane) {
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_ENGINE,
             "the engine sent a picture of another size or index");
    return;
  }
  held->means = means_of(&worker->children.child[held->child]);
  held->received++;
  held->last_pixels_ms = clock_ms();
  struct media_task *task = task_for(worker, held, MEDIA_FINISH, index);
  if (task == NULL || bytes_append(&task->pixels, rgb->data, rgb->length) != OK) {
    media_task_close(&task);
    fail_for_memory(worker, held);
    return;
  }
  task->width = width;
  task->height = height;
  held->picture[index].state = PICTURE_MAKING;
  send(worker, held, task);
}

/* sealing -------------------------------------------------------------------------------------- */

/* A seal that was there before the last picture would vouch for one that is not. */
static bool may_seal(const struct held *held) {
  bool going_well = held->state == HELD_STORING || held->offer.verb == WIRE_COMPLETE;
  bool ready = held->finished && !held->sealing && !held->sealed && going_well;
  for (uint32_t i = 0; i < held->images; i++) {
    ready = ready && held->picture[i].spooled;
  }
  return ready;
}

/* The seal says of each picture what it must hash to: a next life holds the spool's copies to it.
 */
static size_t list_sums(struct worker *worker, const struct held *held,
                        Darkroom__V1__Artifact ***out) {
  arena_drop(worker->scratch);
  Darkroom__V1__Artifact **list = arena_take(worker->scratch, held->images * sizeof *list);
  Darkroom__V1__Artifact *image = arena_take(worker->scratch, held->images * sizeof *image);
  if (list == NULL || image == NULL) {
    return 0;
  }
  for (uint32_t i = 0; i < held->images; i++) {
    darkroom__v1__artifact__init(&image[i]);
    image[i].has_index = image[i].has_bytes = 1;
    image[i].index = i;
    image[i].bytes = held->picture[i].bytes;
    image[i].sha256 = held->picture[i].sha256;
    list[i] = &image[i];
  }
  *out = list;
  return held->images;
}

void picture_seal(struct worker *worker, struct held *held) {
  if (!may_seal(held)) {
    return;
  }
  Darkroom__V1__Complete message = DARKROOM__V1__COMPLETE__INIT;
  message.worker = (char *)worker->options->name;
  message.has_generation = message.has_fence = 1;
  message.generation = held->generation;
  message.fence = held->fence;
  message.id = held->id;
  message.timings = &held->timings;
  message.n_image = list_sums(worker, held, &message.image);
  struct media_task *task = media_task(MEDIA_SEAL, held->id, held->fence);
  uint8_t *room = NULL;
  size_t bytes = darkroom__v1__complete__get_packed_size(&message);
  if (task == NULL || bytes_reserve(&task->payload, bytes, &room) != OK) {
    media_task_close(&task);
    return; /* only a restart of this worker would have needed it */
  }
  task->payload.length += darkroom__v1__complete__pack(&message, room);
  held->sealing = true;
  send(worker, held, task);
}

static void on_seal(struct held *held, const struct media_task *task) {
  held->sealing = false;
  held->sealed = task->status == OK;
  if (task->status != OK) {
    log_warning("not_sealed", log_text("job", task->id), log_text("reason", task->reason));
  }
}

/* storing -------------------------------------------------------------------------------------- */

/* The message's memory goes with it, either way. */
static void swap_png(struct bytes *a, struct bytes *b) {
  struct bytes kept = *a;
  *a = *b;
  *b = kept;
}

static void send_to_store(struct worker *worker, struct held *held, uint32_t index) {
  struct picture *picture = &held->picture[index];
  struct media_task *task = task_for(worker, held, MEDIA_STORE, index);
  if (task == NULL) {
    fail_for_memory(worker, held);
    return;
  }
  snprintf(task->sha256, sizeof task->sha256, "%s", picture->sha256 != NULL ? picture->sha256 : "");
  swap_png(&task->file, &picture->png);
  task->spooled = picture->spooled;
  picture->state = PICTURE_STORING;
  send(worker, held, task);
}

/* receiving ------------------------------------------------------------------------------------ */

/* A job that is ending is past caring. */
static bool wanted(const struct held *held) {
  return held->state == HELD_RUNNING || held->state == HELD_STORING;
}

static bool keep_sums(struct held *held, const struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->bytes = task->file_bytes;
  if (picture->sha256 == NULL) {
    picture->sha256 = arena_copy_text(held->arena, task->sha256, strlen(task->sha256));
  }
  return picture->sha256 != NULL;
}

static void on_made(struct worker *worker, struct held *held, struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->state = PICTURE_WAITING;
  picture->spooled = task->spooled;
  swap_png(&picture->png, &task->file);
  if (task->encoded) {
    spool_watch_told(&worker->spool_watch, task->spooled, task->reason);
  }
  if (!wanted(held)) {
    return;
  }
  if (task->status != OK) {
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL, task->reason);
  } else if (!keep_sums(held, task)) {
    fail_for_memory(worker, held);
  } else {
    held->timings.has_store_us = 1;
    held->timings.store_us += task->encode_us;
  }
}

static void stored(struct worker *worker, struct held *held, struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->url = arena_copy_text(held->arena, task->url, strlen(task->url));
  if (picture->url == NULL || !keep_sums(held, task)) {
    fail_for_memory(worker, held);
    return;
  }
  held->news = true;
  held->timings.has_store_us = 1;
  held->timings.store_us += task->store_us;
  metric_observe_labelled(M_STAGE_DURATION, "upload", (double)task->store_us / 1e6);
  job_complete_if_whole(held);
}

/* The one case in which a finished picture is made again: this machine's disk has lost it. No
 * attempt is used for it. */
static void spool_lost(struct worker *worker, struct held *held, const struct media_task *task) {
  log_error("spool_lost", log_text("job", held->id), log_count("index", task->index),
            log_text("reason", task->reason));
  job_release(worker, held);
}

static void not_stored(struct picture *picture, const struct held *held,
                       const struct media_task *task) {
  int64_t wait_ms = backoff_ms(PICTURE_FIRST_MS, PICTURE_MAX_MS, ++picture->tries);
  picture->due_ms = clock_ms() + wait_ms;
  log_debug("not_stored", log_text("job", held->id), log_count("index", task->index),
            log_text("status", status_name(task->status)), log_text("reason", task->reason));
}

/* Pictures that failed while it was away are due at once: it was not they. */
static void store_is_well(struct worker *worker) {
  bool was_away = worker->store.away;
  store_answered(&worker->store);
  struct held *held = NULL;
  for (size_t at = 0; was_away && (held = held_next(&worker->held, &at)) != NULL;) {
    for (uint32_t i = 0; i < held->images; i++) {
      held->picture[i].due_ms = 0;
    }
  }
}

static void on_stored(struct worker *worker, struct held *held, struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->state = task->status == OK ? PICTURE_STORED : PICTURE_WAITING;
  if (task->spooled && !picture->spooled) {
    spool_watch_told(&worker->spool_watch, true, "");
  }
  picture->spooled = task->spooled;
  swap_png(&picture->png, &task->file);
  if (task->status == OK) {
    store_is_well(worker);
  } else if (task->lost) {
    worker->store.asking = false; /* it has not been asked */
  } else {
    metric_add(M_S3_RETRIES, strncmp(worker->options->store, "s3:", 3) == 0 ? 1 : 0);
    store_failed(&worker->store, task->status, task->reason, task->retry_after_ms, clock_ms());
    not_stored(picture, held, task);
  }
  if (wanted(held) && task->status == OK) {
    stored(worker, held, task);
  } else if (wanted(held) && task->lost) {
    spool_lost(worker, held, task);
  }
}

static void on_check(struct worker *worker, const struct media_task *task) {
  if (task->status == OK) {
    store_is_well(worker);
  } else {
    store_failed(&worker->store, task->status, task->reason, task->retry_after_ms, clock_ms());
  }
}

static void on_dropped(const struct media_task *task) {
  if (task->status != OK) {
    log_warning("not_dropped", log_text("job", task->id), log_text("reason", task->reason));
  }
}

static void on_task_of(struct worker *worker, struct held *held, struct media_task *task) {
  held->media_out--;
  if (task->kind == MEDIA_FETCH) {
    inputs_taken(worker, held, task);
  } else if (task->kind == MEDIA_SEAL) {
    on_seal(held, task);
  } else if (task->kind == MEDIA_FINISH) {
    on_made(worker, held, task);
  } else {
    on_stored(worker, held, task);
  }
  if (task->kind != MEDIA_SEAL && task->kind != MEDIA_FETCH) {
    picture_seal(worker, held);
  }
  job_settle(worker, held);
}

static void on_task(struct worker *worker, struct media_task *task) {
  if (task->kind == MEDIA_CHECK) {
    on_check(worker, task);
  } else if (task->kind == MEDIA_DROP) {
    on_dropped(task);
  } else {
    struct held *held = held_find(&worker->held, task->id, task->fence);
    if (held != NULL) { /* rows wait for their tasks, so it is there; nothing depends on it */
      on_task_of(worker, held, task);
    }
  }
}

void pictures_take_all(struct worker *worker) {
  struct media_task *task = NULL;
  while ((task = media_take(worker->media)) != NULL) {
    on_task(worker, task);
    media_task_close(&task);
  }
  if (worker->spool_watch.full && !held_any_in_memory(&worker->held)) {
    worker->spool_watch = (struct spool_watch){0}; /* the next picture finds out how it is now */
  }
  struct spool_use use = held_unstored_total(&worker->held);
  metric_set(M_SPOOL_IMAGES, (double)use.pictures);
  metric_set(M_SPOOL_BYTES, (double)use.bytes);
  metric_set(M_STORE_AWAY, worker->store.away ? 1 : 0);
}

/* trying again --------------------------------------------------------------------------------- */

static void ask_store(struct worker *worker) {
  struct media_task *task = media_task(MEDIA_CHECK, "", 0);
  if (task != NULL) {
    worker->store.asking = true;
    media_send(worker->media, task);
  }
}

/* Sends the pictures of one job that wait and are due; only one when one is asked for. True when
 * that was sent. */
static bool send_waiting(struct worker *worker, struct held *held, bool only_one, int64_t now_ms) {
  for (uint32_t i = 0; wanted(held) && i < held->images; i++) {
    if (held->picture[i].state != PICTURE_WAITING || held->picture[i].due_ms > now_ms) {
      continue;
    }
    send_to_store(worker, held, i);
    if (only_one) {
      return true;
    }
  }
  return false;
}

/* One picture asks for all: from another job each time, so that one that is refused for itself does
 * not stand before the others. */
static bool send_one(struct worker *worker, int64_t now_ms) {
  for (size_t k = 0; k < HELD_MAX; k++) {
    size_t row = (worker->next_asker + k) % HELD_MAX;
    if (send_waiting(worker, &worker->held.row[row], true, now_ms)) {
      worker->next_asker = row + 1;
      return true;
    }
  }
  return false;
}

void pictures_tend(struct worker *worker, int64_t now_ms) {
  struct store_watch *store = &worker->store;
  if (!store->away) {
    struct held *held = NULL;
    for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
      (void)send_waiting(worker, held, false, now_ms);
    }
  } else if (!store->asking && now_ms >= store->due_ms) {
    if (send_one(worker, now_ms)) {
      store->asking = true;
    } else {
      ask_store(worker);
    }
  }
}

static int64_t waiting_due_ms(const struct held *held) {
  int64_t due_ms = INT64_MAX;
  for (uint32_t i = 0; wanted(held) && i < held->images; i++) {
    bool waits = held->picture[i].state == PICTURE_WAITING;
    due_ms = waits && held->picture[i].due_ms < due_ms ? held->picture[i].due_ms : due_ms;
  }
  return due_ms;
}

int64_t pictures_due_ms(const struct worker *worker) {
  if (worker->store.away) {
    return worker->store.asking ? INT64_MAX : worker->store.due_ms;
  }
  int64_t due_ms = INT64_MAX;
  for (size_t i = 0; i < HELD_MAX; i++) {
    int64_t due = waiting_due_ms(&worker->held.row[i]);
    due_ms = due < due_ms ? due : due_ms;
  }
  return due_ms;
}
