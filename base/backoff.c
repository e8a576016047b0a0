/* backoff.c - doubling waits, and chance to spread them. */
#include "base/backoff.h"

#include <sys/random.h>
#include <sys/types.h>

int64_t backoff_ms(int64_t first_ms, int64_t max_ms, int tries) {
  int64_t wait = first_ms;
  for (int i = 1; i < tries && wait < max_ms; i++) {
    wait *= 2;
  }
  return wait < max_ms ? wait : max_ms;
}

/* Without randomness (a kernel that has just started) the middle serves: waiting is no secret. */
int64_t backoff_jitter_ms(int64_t max_ms) {
  uint64_t random = 0;
  if (max_ms <= 0 || getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
    return max_ms > 0 ? max_ms / 2 : 0;
  }
  return (int64_t)(random % (uint64_t)(max_ms + 1));
}
