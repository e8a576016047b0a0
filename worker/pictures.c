/* pictures.c - pictures on their way to the store: each has one task out or waits for its next try.
 */
#include "worker/pictures.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/pipe.h"
#include "worker/outcome.h"

enum { STORE_FIRST_MS = 200, STORE_MAX_MS = 15000 };

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

void picture_received(struct worker *worker, struct held *held, uint32_t index, uint32_t width,
                      uint32_t height, struct bytes *rgb) {
  bool sane = index < held->images && held->picture[index].state == PICTURE_MISSING &&
              width == held->job->width && height == held->job->height &&
              rgb->length == (size_t)width * height * 3;
  if (!sane) {
    job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_ENGINE,
             "the engine sent a picture of another size or index");
    return;
  }
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
  task->store_away = worker->store.away;
  held->picture[index].state = PICTURE_BUSY;
  send(worker, held, task);
}

/* A seal that was there before the last picture would vouch for one that is not. */
static bool may_seal(const struct held *held) {
  bool going_well = held->state == HELD_STORING || held->offer.verb == WIRE_COMPLETE;
  bool ready = held->finished && !held->sealed && going_well;
  for (uint32_t i = 0; i < held->images; i++) {
    ready = ready && held->picture[i].state != PICTURE_BUSY;
  }
  return ready;
}

void picture_seal(struct worker *worker, struct held *held) {
  if (!may_seal(held)) {
    return;
  }
  held->sealed = true;
  Darkroom__V1__Complete message = DARKROOM__V1__COMPLETE__INIT;
  message.worker = (char *)worker->options->name;
  message.has_generation = message.has_fence = 1;
  message.generation = held->generation;
  message.fence = held->fence;
  message.id = held->id;
  message.timings = &held->timings;
  struct media_task *task = media_task(MEDIA_SEAL, held->id, held->fence);
  uint8_t *room = NULL;
  size_t bytes = darkroom__v1__complete__get_packed_size(&message);
  if (task == NULL || bytes_reserve(&task->payload, bytes, &room) != OK) {
    media_task_close(&task);
    return; /* only a restart of this worker would have needed it */
  }
  task->payload.length += darkroom__v1__complete__pack(&message, room);
  send(worker, held, task);
}

static void send_again(struct worker *worker, struct held *held, uint32_t index) {
  struct picture *picture = &held->picture[index];
  struct media_task *task = task_for(worker, held, MEDIA_STORE, index);
  if (task == NULL) {
    fail_for_memory(worker, held);
    return;
  }
  struct bytes empty = task->png;
  task->png = picture->png; /* the message's memory goes with it */
  picture->png = empty;
  picture->state = PICTURE_BUSY;
  send(worker, held, task);
}

/* the store's health --------------------------------------------------------------------------- */

static void store_failed(struct store_watch *store, int64_t now_ms) {
  store->tries++;
  store->away = true;
  store->asking = false;
  store->due_ms =
      now_ms + backoff_jitter_ms(backoff_ms(STORE_FIRST_MS, STORE_MAX_MS, store->tries));
}

static void store_answered(struct store_watch *store) {
  if (store->away || store->refused) {
    log_event("store_back", log_number("tries", store->tries));
  }
  *store = (struct store_watch){0};
}

/* receiving ------------------------------------------------------------------------------------ */

static void stored(struct worker *worker, struct held *held, struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->state = PICTURE_STORED;
  picture->bytes = task->png_bytes;
  picture->url = arena_copy_text(held->arena, task->url, strlen(task->url));
  picture->sha256 = arena_copy_text(held->arena, task->sha256, strlen(task->sha256));
  if (picture->url == NULL || picture->sha256 == NULL) {
    fail_for_memory(worker, held);
    return;
  }
  held->news = true;
  held->timings.has_store_us = 1;
  held->timings.store_us += task->encode_us + task->store_us;
  metric_observe_labelled(M_STAGE_DURATION, "upload", (double)task->store_us / 1e6);
  job_complete_if_whole(held);
}

static void not_stored(struct held *held, struct media_task *task) {
  struct picture *picture = &held->picture[task->index];
  picture->state = PICTURE_WAITING;
  if (task->png.length > 0) {
    struct bytes empty = picture->png;
    picture->png = task->png;
    task->png = empty;
  }
  if (!task->store_away) {
    log_warning("not_stored", log_text("job", held->id), log_count("index", task->index),
                log_text("status", status_name(task->status)), log_text("reason", task->reason));
  }
}

static void picture_failed(struct worker *worker, struct held *held,
                           const struct media_task *task) {
  bool store = task->encoded;
  job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
           store ? DARKROOM__V1__ERROR_CODE__ERROR_STORE : DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL,
           task->reason);
}

/* A job that is ending is past caring; its picture still tells how the store is. */
static void on_picture(struct worker *worker, struct held *held, struct media_task *task) {
  bool wanted = held->state == HELD_RUNNING || held->state == HELD_STORING;
  bool refused = task->encoded && task->status == BAD_INPUT;
  if (task->status == OK) {
    store_answered(&worker->store);
  } else if (task->encoded && !task->store_away) {
    if (strncmp(worker->options->store, "s3:", 3) == 0) {
      metric_add(M_S3_RETRIES, 1);
    }
    store_failed(&worker->store, clock_ms());
    worker->store.refused = worker->store.refused || refused;
  } else if (task->kind == MEDIA_STORE) {
    worker->store.asking = false; /* it could not even be read: the store has not been asked */
  }
  if (!wanted) {
    held->picture[task->index].state = task->status == OK ? PICTURE_STORED : PICTURE_WAITING;
  } else if (task->status == OK) {
    stored(worker, held, task);
  } else if (refused || !task->encoded) {
    held->picture[task->index].state = PICTURE_WAITING;
    picture_failed(worker, held, task);
  } else {
    not_stored(held, task);
  }
}

static void on_check(struct worker *worker, const struct media_task *task) {
  if (task->status == OK) {
    store_answered(&worker->store);
    return;
  }
  store_failed(&worker->store, clock_ms());
  log_warning("store_check", log_text("status", status_name(task->status)),
              log_text("reason", task->reason));
}

static void on_task(struct worker *worker, struct media_task *task) {
  if (task->kind == MEDIA_CHECK) {
    on_check(worker, task);
    return;
  }
  if (task->kind == MEDIA_DROP) {
    if (task->status != OK) {
      log_warning("not_dropped", log_text("job", task->id), log_text("reason", task->reason));
    }
    return;
  }
  struct held *held = held_find(&worker->held, task->id, task->fence);
  if (held == NULL) {
    return; /* rows wait for their tasks, so this cannot be; nothing depends on it */
  }
  held->media_out--;
  if (task->kind == MEDIA_SEAL && task->status != OK) {
    log_warning("not_sealed", log_text("job", task->id), log_text("reason", task->reason));
  } else if (task->kind != MEDIA_SEAL) {
    on_picture(worker, held, task);
    picture_seal(worker, held);
  }
  job_settle(worker, held);
}

void pictures_take_all(struct worker *worker) {
  struct media_task *task = NULL;
  while ((task = media_take(worker->media)) != NULL) {
    on_task(worker, task);
    media_task_close(&task);
  }
  metric_set(M_SPOOL_IMAGES, (double)held_unstored_total(&worker->held));
}

/* trying again --------------------------------------------------------------------------------- */

static void ask_store(struct worker *worker) {
  struct media_task *task = media_task(MEDIA_CHECK, "", 0);
  if (task != NULL) {
    worker->store.asking = true;
    media_send(worker->media, task);
  }
}

/* While the store is away one picture (or a check) asks for all; once it answers, all go at once.
 */
void pictures_tend(struct worker *worker, int64_t now_ms) {
  struct store_watch *store = &worker->store;
  if (store->away && (store->asking || now_ms < store->due_ms)) {
    return;
  }
  if (store->refused) {
    ask_store(worker);
    return;
  }
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    bool wanted = held->state == HELD_RUNNING || held->state == HELD_STORING;
    for (uint32_t i = 0; wanted && i < held->images; i++) {
      if (held->picture[i].state != PICTURE_WAITING) {
        continue;
      }
      send_again(worker, held, i);
      if (store->away) {
        store->asking = true;
        return;
      }
    }
  }
  if (store->away) {
    ask_store(worker);
  }
}

int64_t pictures_due_ms(const struct worker *worker) {
  return worker->store.away && !worker->store.asking ? worker->store.due_ms : INT64_MAX;
}
