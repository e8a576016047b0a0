/* job_identity.c - the id of a job and the digest of what it asks for. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/blob.h"
#include "proto/job.h"

typedef Darkroom__V1__Job Job;

/* ids -------------------------------------------------------------------------------------- */

static bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool job_id_valid(const char *id) {
  size_t bytes = strnlen(id, JOB_ID_BYTES_MAX + 1);
  for (size_t i = 0; i < bytes; i++) {
    bool inner = i > 0 && strchr("._-", id[i]) != NULL;
    if (!letter_or_digit(id[i]) && !inner) {
      return false;
    }
  }
  return bytes >= 1 && bytes <= JOB_ID_BYTES_MAX;
}

/* Base 32 without the letters that look like digits. */
enum status job_id_make(char *id) {
  static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
  enum { CHARACTERS = 26 };
  uint8_t random[CHARACTERS];
  if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    return fail(BROKEN, "getrandom: %s", strerror(errno));
  }
  for (int i = 0; i < CHARACTERS; i++) {
    id[i] = alphabet[random[i] % 32];
  }
  id[CHARACTERS] = '\0';
  return OK;
}

/* digest --------------------------------------------------------------------------------- */

/* A job whose files are what they count as, and nothing else is changed. */
struct content {
  Job job;
  Darkroom__V1__Control control[CONTROLS_MAX], *controls[CONTROLS_MAX];
  Darkroom__V1__Adapter adapter[JOB_ADAPTERS_MAX], *adapters[JOB_ADAPTERS_MAX];
  Darkroom__V1__Embedding embedding[JOB_EMBEDDINGS_MAX], *embeddings[JOB_EMBEDDINGS_MAX];
  Darkroom__V1__Blob blob[JOB_INPUTS_MAX];
  char text[JOB_INPUTS_MAX][BLOB_SHA256_TEXT_MAX];
  size_t blobs;
};

static enum status settle_blob(struct content *content, Darkroom__V1__Blob **blob) {
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

static enum status content_open(const Job *job, struct content *content) {
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
  struct content content;
  TRY(content_open(job, &content));
  content.job.id = NULL;
  content.job.tenant = NULL;
  content.job.base.n_unknown_fields = 0;
  content.job.base.unknown_fields = NULL;
  return packed_digest(&content.job, digest);
}
