/* finish.c - from pixels to an object that is surely there; each kind of task is a row.
 *
 * A picture is spooled before it is stored. When the spool cannot take it, it stays in the task's
 * memory and is stored from there, or spooled when there is room again: a full disk loses nothing,
 * it only stops the worker from asking for more. What comes back from the spool is held to the
 * digest that was taken when the picture was made: a disk that has forgotten it must not publish
 * something else.
 */
#include "worker/media/finish.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "images/encode.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job.h"
#include "worker/media/assigned.h"
#include "worker/media/caption.h"
#include "worker/media/fetch.h"
#include "worker/media/spool.h"

enum { QUALITY_STANDARD = 90, US_PER_SECOND = 1000000 };

static struct caption caption_of(const struct finish *finish, const struct media_task *task,
                                 const struct assigned *assigned) {
  return (struct caption){
      .job = assigned->assign->job,
      .fence = task->fence,
      .index = task->index,
      .model_sha256 = task->model_sha256,
      .means = task->means,
      .worker = finish->worker,
      .version = finish->version,
  };
}

/* tenant/job/fence/index.ending: the fence keeps a late attempt from ever touching the winner's
 * objects. */
static enum status key_of(const struct media_task *task, const char *tenant, uint32_t index,
                          const char *ending, char key[STORE_KEY_BYTES_MAX + 1]) {
  if (tenant == NULL || !job_id_valid(tenant) || !job_id_valid(task->id)) {
    return fail(BAD_INPUT, "tenant or job id cannot be part of a key");
  }
  snprintf(key, STORE_KEY_BYTES_MAX + 1, "%s/%s/%" PRIu64 "/%" PRIu32 ".%s", tenant, task->id,
           task->fence, index, ending);
  return OK;
}

static struct attempt attempt_of(const struct media_task *task) {
  return (struct attempt){task->id, task->fence};
}

/* encoding and spooling ------------------------------------------------------------------------ */

/* As the job wants it. */
static enum encoding encoding_of(const Darkroom__V1__Job *job) {
  static const enum encoding encodings[] = {
      [DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_PNG] = ENCODING_PNG,
      [DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_JPEG] = ENCODING_JPEG,
      [DARKROOM__V1__IMAGE_FORMAT__IMAGE_FORMAT_WEBP] = ENCODING_WEBP,
  };
  size_t format = job->has_format ? (size_t)job->format : 0;
  return format < sizeof encodings / sizeof encodings[0] ? encodings[format] : ENCODING_PNG;
}

static enum status encode(const struct caption *caption, struct media_task *task) {
  const Darkroom__V1__Job *job = caption->job;
  struct bytes texts[2];
  bytes_open(&texts[0], CAPTION_BYTES_MAX);
  bytes_open(&texts[1], CAPTION_BYTES_MAX);
  enum status status = caption_infotext(caption, &texts[0]);
  status = status == OK ? caption_parameters(caption, &texts[1]) : status;
  if (status == OK) {
    struct image image = {task->width, task->height, 3, task->pixels.data};
    struct encode_texts in_file = {bytes_text(&texts[0]), bytes_text(&texts[1])};
    int quality = job->has_quality ? (int)job->quality : QUALITY_STANDARD;
    bytes_open(&task->file, IMAGE_FILE_BYTES_MAX);
    status = image_encode(&image, encoding_of(job), quality, &in_file, &task->file);
  }
  bytes_close(&texts[0]);
  bytes_close(&texts[1]);
  return status;
}

/* The assignment first: a picture without it could not be handed in after a restart. */
static void spool(const struct finish *finish, struct media_task *task) {
  enum status status =
      spool_write_assign(finish->spool, attempt_of(task), task->assign.data, task->assign.length);
  if (status == OK) {
    status = spool_write_picture(finish->spool, attempt_of(task), task->index, task->file.data,
                                 task->file.length);
  }
  task->spooled = status == OK;
  if (status == OK) {
    bytes_close(&task->file);
  } else {
    snprintf(task->reason, sizeof task->reason, "%s", fail_reason());
    log_warning("spool_full", log_text("job", task->id), log_count("index", task->index),
                log_text("reason", task->reason));
  }
}

static uint64_t since_us(int64_t begun_ns) { return (uint64_t)(clock_ns() - begun_ns) / 1000; }

static enum status encode_and_spool(const struct finish *finish, struct media_task *task,
                                    const struct assigned *assigned) {
  struct caption caption = caption_of(finish, task, assigned);
  int64_t begun = clock_ns();
  TRY(encode(&caption, task));
  TRY(digest_sha256_text(task->file.data, task->file.length, task->sha256));
  task->file_bytes = task->file.length;
  task->encoded = true;
  bytes_close(&task->pixels);
  spool(finish, task);
  task->encode_us = since_us(begun);
  metric_observe_labelled(M_STAGE_DURATION, "encode", (double)task->encode_us / US_PER_SECOND);
  return OK;
}

/* storing -------------------------------------------------------------------------------------- */

static enum status put(const struct finish *finish, const char *key, const char *type,
                       const struct bytes *content) {
  struct store_object object = {key, type, content->data, content->length};
  int64_t begun = clock_ns();
  enum status status = store_put(finish->store, &object);
  if (status == OK) {
    metric_observe(M_UPLOAD_DURATION, (double)(clock_ns() - begun) / 1e9);
  }
  return status;
}

static enum status put_sidecar(const struct finish *finish, const struct media_task *task,
                               const struct caption *caption, const struct bytes *file) {
  char key[STORE_KEY_BYTES_MAX + 1];
  TRY(key_of(task, caption->job->tenant, task->index, "json", key));
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT;
  image.has_index = image.has_bytes = image.has_seed = image.has_width = image.has_height = 1;
  image.has_kind = 1; /* so far they are all pictures */
  image.index = task->index;
  image.bytes = file->length;
  image.seed = caption_seed(caption);
  image.width = job_picture_width(caption->job);
  image.height = job_picture_height(caption->job);
  image.sha256 = (char *)task->sha256;
  image.url = (char *)task->url;
  struct bytes text;
  bytes_open(&text, CAPTION_BYTES_MAX);
  enum status status = caption_sidecar(caption, &image, &text);
  status = status == OK ? put(finish, key, "application/json", &text) : status;
  bytes_close(&text);
  return status;
}

static enum status put_both(const struct finish *finish, struct media_task *task,
                            const struct caption *caption, const struct bytes *file) {
  char key[STORE_KEY_BYTES_MAX + 1];
  enum encoding encoding = encoding_of(caption->job);
  TRY(key_of(task, caption->job->tenant, task->index, encoding_ending(encoding), key));
  struct bytes url;
  bytes_open(&url, sizeof task->url - 1);
  enum status status = store_locate(finish->store, key, &url);
  snprintf(task->url, sizeof task->url, "%s", bytes_text(&url));
  bytes_close(&url);
  TRY(status);
  TRY(put(finish, key, encoding_type(encoding), file));
  return put_sidecar(finish, task, caption, file);
}

static enum status lost(struct media_task *task, const char *why) {
  task->lost = true;
  return fail(BAD_INPUT, "picture %u of the spool %s", task->index, why);
}

/* The picture, from the task's memory or the spool, is what was made. */
static enum status take_file(const struct finish *finish, struct media_task *task,
                             struct bytes *file) {
  char sha256[SHA256_TEXT_MAX];
  if (file->length == 0) {
    bytes_open(file, IMAGE_FILE_BYTES_MAX);
    enum status read = spool_read_picture(finish->spool, attempt_of(task), task->index, file);
    if (read == BAD_INPUT) {
      return lost(task, "is gone");
    }
    TRY(read);
  }
  TRY(digest_sha256_text(file->data, file->length, sha256));
  if (task->sha256[0] != '\0' && strcmp(sha256, task->sha256) != 0) {
    return lost(task, "is damaged");
  }
  memcpy(task->sha256, sha256, sizeof sha256);
  task->file_bytes = file->length;
  return OK;
}

/* What is only in memory is spooled first, if there is room by now: the store may be away. */
static enum status store_picture(const struct finish *finish, struct media_task *task,
                                 const struct assigned *assigned) {
  struct caption caption = caption_of(finish, task, assigned);
  int64_t begun = clock_ns();
  if (task->file.length > 0) {
    spool(finish, task);
  }
  bool from_memory = task->file.length > 0;
  struct bytes file = task->file;
  enum status status = take_file(finish, task, &file);
  status = status == OK ? put_both(finish, task, &caption, &file) : status;
  task->store_us += since_us(begun);
  task->retry_after_ms = status != OK ? store_retry_after_ms(finish->store) : 0;
  if (!from_memory) {
    bytes_close(&file);
  } else if (status == OK) {
    bytes_close(&task->file);
  }
  return status;
}

/* the rows ------------------------------------------------------------------------------------- */

static enum status with_assigned(const struct finish *finish, struct media_task *task,
                                 enum status (*act)(const struct finish *finish,
                                                    struct media_task *task,
                                                    const struct assigned *assigned)) {
  struct assigned assigned = {0};
  enum status status = assigned_open(&task->assign, &assigned);
  status = status == OK ? act(finish, task, &assigned) : status;
  assigned_close(&assigned);
  return status;
}

static enum status do_finish(const struct finish *finish, struct media_task *task) {
  return with_assigned(finish, task, encode_and_spool);
}

static enum status do_store(const struct finish *finish, struct media_task *task) {
  return with_assigned(finish, task, store_picture);
}

static enum status do_seal(const struct finish *finish, struct media_task *task) {
  return spool_write_complete(finish->spool, attempt_of(task), task->payload.data,
                              task->payload.length);
}

static enum status remove_objects(const struct finish *finish, struct media_task *task,
                                  const struct assigned *assigned) {
  const char *const endings[] = {encoding_ending(encoding_of(assigned->assign->job)), "json"};
  enum status worst = OK;
  for (uint32_t i = 0; i < task->image_count; i++) {
    for (size_t e = 0; e < sizeof endings / sizeof endings[0]; e++) {
      char key[STORE_KEY_BYTES_MAX + 1];
      TRY(key_of(task, assigned->assign->job->tenant, i, endings[e], key));
      enum status status = store_remove(finish->store, key);
      worst = status != OK ? status : worst;
    }
  }
  return worst;
}

static enum status do_drop(const struct finish *finish, struct media_task *task) {
  TRY(spool_drop(finish->spool, attempt_of(task)));
  return task->image_count > 0 ? with_assigned(finish, task, remove_objects) : OK;
}

static enum status do_check(const struct finish *finish, struct media_task *task) {
  enum status status = store_check(finish->store, finish->worker);
  task->retry_after_ms = status != OK ? store_retry_after_ms(finish->store) : 0;
  return status;
}

static enum status do_fetch(const struct finish *finish, struct media_task *task) {
  return fetch_inputs(finish->fetch, task);
}

static enum status (*const kinds[])(const struct finish *finish, struct media_task *task) = {
    [MEDIA_FINISH] = do_finish, [MEDIA_STORE] = do_store, [MEDIA_SEAL] = do_seal,
    [MEDIA_DROP] = do_drop,     [MEDIA_CHECK] = do_check, [MEDIA_FETCH] = do_fetch,
};

void finish_task(const struct finish *finish, struct media_task *task) {
  task->status = kinds[task->kind](finish, task);
  if (task->status != OK) {
    snprintf(task->reason, sizeof task->reason, "%s", fail_reason());
  }
}
