/* fetch.c - file by file; a transfer that is given up (its job was cancelled) ends by itself. */
#include "worker/media/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitoring/metrics.h"
#include "proto/job_inputs.h"
#include "worker/media/assigned.h"
#include "worker/media/prepare.h"

enum { ALIGNMENT = 64 }; /* of each input in the memory */

typedef Darkroom__V1__Blob Blob;

/* the file ------------------------------------------------------------------------------------ */

/* How many bytes are read at most: no more than the job says it has. */
static size_t bytes_wanted(const struct job_input *input) {
  const Blob *blob = input->blob;
  return (size_t)(blob->has_bytes && blob->bytes < input->bytes_max ? blob->bytes
                                                                    : input->bytes_max);
}

static enum status read_url(const struct fetch *fetch, const struct job_input *input,
                            struct media_task *task, struct bytes *content) {
  struct read_result how = {0};
  int64_t begun = clock_ns();
  bytes_open(content, bytes_wanted(input));
  if (fetch->pace != NULL) {
    pace_begin(clock_ms(), task->until_ms, fetch->pace);
  }
  enum status status = reader_read(fetch->reader, input->blob->url, content, &how);
  task->retry_after_ms = how.retry_after_ms;
  metric_observe(M_INPUT_DURATION, (double)(clock_ns() - begun) / 1e9);
  metric_add(M_INPUT_BYTES, content->length);
  if (status == UNAVAILABLE && fetch->given_up != NULL && *fetch->given_up != PACE_GOES_ON) {
    return fail(UNAVAILABLE, "%s (%zu bytes of it have come)", pace_words(*fetch->given_up),
                content->length);
  }
  if (how.too_large) {
    return fail(BAD_INPUT, "it has more than %zu bytes", bytes_wanted(input));
  }
  return status;
}

/* Inline bytes are copied: what follows does not ask where a file came from. */
static enum status read_content(const struct fetch *fetch, const struct job_input *input,
                                struct media_task *task, struct bytes *content) {
  const Blob *blob = input->blob;
  if (blob->url != NULL) {
    return read_url(fetch, input, task, content);
  }
  bytes_open(content, bytes_wanted(input));
  return bytes_append(content, blob->inline_.data, blob->inline_.len);
}

static enum status check_content(const Blob *blob, const struct bytes *content,
                                 char sha256[SHA256_TEXT_MAX]) {
  TRY(digest_sha256_text(bytes_text(content), content->length, sha256));
  if (blob->has_bytes && blob->bytes != content->length) {
    return fail(BAD_INPUT, "it has %zu bytes, and should have %llu", content->length,
                (unsigned long long)blob->bytes);
  }
  return blob->sha256 == NULL || strcmp(blob->sha256, sha256) == 0
             ? OK
             : fail(BAD_INPUT, "its sha256 is %s, and should be %.64s", sha256, blob->sha256);
}

/* Where a file may not be read from, having it already opens no way round. */
static enum status have_file(const struct fetch *fetch, const struct job_input *input,
                             struct media_task *task, const struct cached **out) {
  const char *sha256 = input->blob->sha256;
  TRY(input->blob->url != NULL ? reader_check(fetch->reader, input->blob->url) : OK);
  const struct cached *kept = sha256 != NULL ? cache_find(fetch->cache, sha256) : NULL;
  if (kept != NULL) {
    metric_add(M_INPUT_CACHE_HITS, 1);
    *out = kept;
    return OK;
  }
  struct bytes content = {0};
  char found[SHA256_TEXT_MAX];
  enum status status = read_content(fetch, input, task, &content);
  status = status == OK ? check_content(input->blob, &content, found) : status;
  status = status == OK ? cache_keep(fetch->cache, found, &content, out) : status;
  bytes_close(&content);
  return status;
}

/* the memory ---------------------------------------------------------------------------------- */

static enum status write_all(int fd, const uint8_t *data, size_t bytes, uint64_t offset) {
  for (size_t done = 0; done < bytes;) {
    ssize_t wrote = pwrite(fd, data + done, bytes - done, (off_t)(offset + done));
    if (wrote < 0 && errno != EINTR) {
      return fail(EXHAUSTED, "no memory for a job's inputs: %s", strerror(errno));
    }
    done += wrote > 0 ? (size_t)wrote : 0;
  }
  return OK;
}

static enum status add_piece(struct media_task *task, const struct media_input *piece,
                             const uint8_t *data) {
  struct media_input *row = &task->input[task->input_count];
  TRY(write_all(task->descriptor, data, (size_t)piece->bytes, task->input_bytes));
  *row = *piece;
  row->offset = task->input_bytes;
  task->input_count++;
  task->input_bytes += (piece->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return OK;
}

static enum status add_image(struct media_task *task, Darkroom__V1__BlobKind kind, uint32_t index,
                             const struct image *image) {
  struct media_input piece = {.kind = kind,
                              .index = index,
                              .width = image->width,
                              .height = image->height,
                              .channels = image->channels,
                              .bytes = image_bytes(image)};
  return add_piece(task, &piece, image->pixels);
}

/* Nothing in it changes from here on: the engine reads it unchecked a second time. */
static enum status seal(struct media_task *task) {
  if (ftruncate(task->descriptor, (off_t)task->input_bytes) != 0 ||
      fcntl(task->descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return fail(EXHAUSTED, "a job's inputs cannot be sealed: %s", strerror(errno));
  }
  return OK;
}

/* one input ----------------------------------------------------------------------------------- */

static bool is_picture(Darkroom__V1__BlobKind kind) {
  return kind != DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER &&
         kind != DARKROOM__V1__BLOB_KIND__BLOB_EMBEDDING;
}

static enum status prepare(const Darkroom__V1__Job *job, const struct job_input *input,
                           const struct bytes *file, struct media_task *task) {
  if (!is_picture(input->kind)) {
    TRY(prepare_check_tensors(file));
    struct media_input piece = {.kind = input->kind, .index = input->index, .bytes = file->length};
    return add_piece(task, &piece, file->data);
  }
  struct image image = {0};
  TRY(prepare_picture(job, input->kind, file, &image));
  enum status status = add_image(task, input->kind, input->index, &image);
  image_close(&image);
  return status;
}

/* A transfer is cheap and a decoder is not: more may wait for a place than work at once. */
static enum status add_file(const struct fetch *fetch, const Darkroom__V1__Job *job,
                            const struct job_input *input, const struct bytes *file,
                            struct media_task *task) {
  while (fetch->preparing != NULL && sem_wait(fetch->preparing) != 0) { /* a signal came */
  }
  enum status status = prepare(job, input, file, task);
  if (fetch->preparing != NULL) {
    sem_post(fetch->preparing);
  }
  return status;
}

/* A job need not say how large its files are: what it has not said is counted as it comes. */
static enum status count_file(const struct fetch *fetch, struct media_task *task, size_t bytes) {
  task->fetched_bytes += bytes;
  return task->fetched_bytes <= fetch->bytes_max
             ? OK
             : fail(BAD_INPUT, "the job's files have more than %llu bytes together",
                    (unsigned long long)fetch->bytes_max);
}

static enum status add_input(const struct fetch *fetch, const Darkroom__V1__Job *job,
                             const struct job_input *input, struct media_task *task) {
  const struct cached *file = NULL;
  snprintf(task->field, sizeof task->field, "%s", input->field);
  TRY(have_file(fetch, input, task, &file));
  enum status status = count_file(fetch, task, file->content.length);
  status = status == OK ? add_file(fetch, job, input, &file->content, task) : status;
  cache_give_back(fetch->cache, file);
  return status;
}

static enum status add_padding_mask(const Darkroom__V1__Job *job, struct media_task *task) {
  struct image mask = {0};
  snprintf(task->field, sizeof task->field, "padding");
  TRY(prepare_padding_mask(job, &mask));
  enum status status = add_image(task, DARKROOM__V1__BLOB_KIND__BLOB_MASK, 0, &mask);
  image_close(&mask);
  return status;
}

static enum status add_all(const struct fetch *fetch, const Darkroom__V1__Job *job,
                           struct media_task *task) {
  struct job_input input;
  fetch->reader->tenant = job->tenant;
  for (size_t at = 0; at < JOB_INPUTS_MAX && job_input_at(job, at, &input); at++) {
    TRY(add_input(fetch, job, &input, task));
  }
  if (job->padding != NULL && job->mask == NULL) {
    TRY(add_padding_mask(job, task));
  }
  return seal(task);
}

enum status fetch_inputs(const struct fetch *fetch, struct media_task *task) {
  struct assigned assigned = {0};
  int64_t begun = clock_ns();
  task->input_count = 0;
  task->input_bytes = 0;
  task->fetched_bytes = 0;
  task->retry_after_ms = 0;
  task->descriptor = memfd_create("darkroom-inputs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  enum status status = task->descriptor >= 0
                           ? assigned_open(&task->assign, &assigned)
                           : fail(EXHAUSTED, "no memory for a job's inputs: %s", strerror(errno));
  status = status == OK ? add_all(fetch, assigned.assign->job, task) : status;
  fetch->reader->tenant = NULL;
  assigned_close(&assigned);
  if (status != OK && task->descriptor >= 0) {
    close(task->descriptor);
    task->descriptor = -1;
  }
  task->fetch_us += (uint64_t)(clock_ns() - begun) / 1000;
  return status;
}
