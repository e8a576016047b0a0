/* job_content.c - a copy as deep as its files, and no deeper. */
#include "proto/job_content.h"

typedef Darkroom__V1__Job Job;

static enum status settle_blob(struct job_content *content, Darkroom__V1__Blob **blob) {
  if (*blob == NULL) {
    return OK;
  }
  size_t at = content->blobs++;
  TRY(blob_content(*blob, content->text[at], &content->blob[at]));
  *blob = &content->blob[at];
  return OK;
}

#define COPY_ALL(content, field, plural)                    \
  do {                                                      \
    for (size_t i = 0; i < (content)->job.n_##field; i++) { \
      (content)->field[i] = *(content)->job.field[i];       \
      (content)->plural[i] = &(content)->field[i];          \
    }                                                       \
    (content)->job.field = (content)->plural;               \
  } while (0)

enum status job_content_open(const Job *job, struct job_content *content) {
  if (job->n_control > CONTROLS_MAX || job->n_adapter > JOB_ADAPTERS_MAX ||
      job->n_embedding > JOB_EMBEDDINGS_MAX) {
    return fail(BAD_INPUT, "a job with more inputs than there may be");
  }
  content->job = *job;
  content->blobs = 0;
  COPY_ALL(content, control, controls);
  COPY_ALL(content, adapter, adapters);
  COPY_ALL(content, embedding, embeddings);
  TRY(settle_blob(content, &content->job.image));
  TRY(settle_blob(content, &content->job.mask));
  for (size_t i = 0; i < job->n_control; i++) {
    TRY(settle_blob(content, &content->control[i].image));
  }
  for (size_t i = 0; i < job->n_adapter; i++) {
    TRY(settle_blob(content, &content->adapter[i].blob));
  }
  for (size_t i = 0; i < job->n_embedding; i++) {
    TRY(settle_blob(content, &content->embedding[i].blob));
  }
  return OK;
}

void job_content_leave_places_out(struct job_content *content) {
  for (size_t i = 0; i < content->blobs; i++) {
    content->blob[i].url = NULL;
  }
}
