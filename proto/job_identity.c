/* job_identity.c - the ids that jobs and workers may have. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/limits.h"
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
