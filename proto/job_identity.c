/* job_identity.c - the id of a job and the digest of what it asks for. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "proto/job.h"
#include "proto/job_content.h"

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
