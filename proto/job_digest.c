/* job_digest.c - what a job asks for, in 32 bytes. */
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/job.h"
#include "proto/job_content.h"

typedef Darkroom__V1__Job Job;

static enum status packed_digest(const Job *job, uint8_t digest[JOB_DIGEST_BYTES]) {
  size_t size = darkroom__v1__job__get_packed_size(job);
  struct bytes packed;
  bytes_open(&packed, FRAME_BYTES_MAX);
  uint8_t *room = NULL;
  enum status status = bytes_reserve(&packed, size, &room);
  if (status == OK) {
    packed.length = darkroom__v1__job__pack(job, room);
    unsigned digest_bytes = JOB_DIGEST_BYTES;
    int done = EVP_Digest(packed.data, packed.length, digest, &digest_bytes, EVP_sha256(), NULL);
    status = done == 1 ? OK : fail(BROKEN, "sha256 failed");
  } else {
    status = fail(BAD_INPUT, "a job of %zu bytes: a frame holds %d", size, FRAME_BYTES_MAX);
  }
  bytes_close(&packed);
  return status;
}

/* protobuf-c packs fields in the order of their numbers, so equal contents are equal bytes. Fields
 * that this version does not know are left out: another broker of the fleet may know them and must
 * come to the same digest. */
enum status job_digest(const Job *job, uint8_t digest[JOB_DIGEST_BYTES]) {
  struct job_content content;
  TRY(job_content_open(job, &content));
  content.job.id = NULL;
  content.job.tenant = NULL;
  content.job.base.n_unknown_fields = 0;
  content.job.base.unknown_fields = NULL;
  return packed_digest(&content.job, digest);
}
