/* blob.h - one file of a job: whether what is said of it can be, and what it counts as. */
#ifndef DARKROOM_PROTO_BLOB_H
#define DARKROOM_PROTO_BLOB_H

#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/job_inputs.h"
#include "proto/refusal.h"

#define BLOB_SHA256_TEXT_MAX 65

/* Exactly one of url and inline, a scheme that workers read, sizes within the kind's, an inline
 * file of the size and SHA-256 that it claims, a SHA-256 where what is read must be known before
 * (adapters and embeddings). BAD_INPUT names the field. */
enum status blob_check(const struct job_input *input, struct refusal *why);

/* What a file of this kind cannot begin with is told in words ("is a pickle, ..."); NULL: it may be
 * one. data: its first BLOB_LOOK_BYTES, or all of it where it has less. */
#define BLOB_LOOK_BYTES 16
const char *blob_unlike(Darkroom__V1__BlobKind kind, const uint8_t *data, size_t bytes);

/* What a digest takes for this blob: the same file by url or inline is the same content. Files of
 * known SHA-256 are their SHA-256, others their url. text holds BLOB_SHA256_TEXT_MAX and
 * belongs to *out. */
enum status blob_content(const Darkroom__V1__Blob *blob, char *text, Darkroom__V1__Blob *out);

#endif
