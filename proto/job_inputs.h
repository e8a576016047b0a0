/* job_inputs.h - the files of a job, one after the other, whatever field they stand in. */
#ifndef DARKROOM_PROTO_JOB_INPUTS_H
#define DARKROOM_PROTO_JOB_INPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/darkroom.pb-c.h"

struct job_input {
  Darkroom__V1__Blob *blob;
  Darkroom__V1__BlobKind kind; /* as its field says */
  uint32_t index;              /* in that field: of its control, adapter or embedding */
  const char *field;           /* "image", "mask", "control.image", "adapter.blob", ... */
  uint64_t bytes_max;          /* how large a file of its kind may be */
};

/* The at-th file that the job brings (names of the fleet's own bring none), in the order of the
 * contract; false past the last. Of a checked job there are JOB_INPUTS_MAX at most. */
bool job_input_at(const Darkroom__V1__Job *job, size_t at, struct job_input *out);
size_t job_input_count(const Darkroom__V1__Job *job);

#endif
