/* job_content.h - a job with its files as what they count as, whatever place they come from. */
#ifndef DARKROOM_PROTO_JOB_CONTENT_H
#define DARKROOM_PROTO_JOB_CONTENT_H

#include <stddef.h>

#include "base/limits.h"
#include "base/status.h"
#include "proto/blob.h"
#include "proto/darkroom.pb-c.h"

/* A job whose files are what they count as, and nothing else is changed. */
struct job_content {
  Darkroom__V1__Job job;
  Darkroom__V1__Control control[CONTROLS_MAX], *controls[CONTROLS_MAX];
  Darkroom__V1__Adapter adapter[JOB_ADAPTERS_MAX], *adapters[JOB_ADAPTERS_MAX];
  Darkroom__V1__Embedding embedding[JOB_EMBEDDINGS_MAX], *embeddings[JOB_EMBEDDINGS_MAX];
  Darkroom__V1__Blob blob[JOB_INPUTS_MAX];
  char text[JOB_INPUTS_MAX][BLOB_SHA256_TEXT_MAX];
  size_t blobs;
};

/* Fills content, which must stay where it is: the job in it points into it, and shares all else
 * with the one given. BAD_INPUT for a job with more inputs than there may be. */
enum status job_content_open(const Darkroom__V1__Job *job, struct job_content *content);
/* Files without a known SHA-256 lose their URL, too. */
void job_content_leave_places_out(struct job_content *content);

#endif
