/* pace.c - bytes against time. */
#include "worker/media/pace.h"

#include <stdbool.h>
#include <stddef.h>

void pace_begin(int64_t now_ms, int64_t until_ms, struct pace *out) {
  *out = (struct pace){.begun_ms = now_ms, .until_ms = until_ms, .window_ms = now_ms};
}

/* A file of several transfers (a lesson learned from a refusal) counts from 0 again. */
static uint64_t came(const struct pace *pace, uint64_t bytes) {
  return bytes > pace->window_bytes ? bytes - pace->window_bytes : 0;
}

enum pace_verdict pace_look(struct pace *pace, int64_t now_ms, uint64_t bytes) {
  int64_t lasted_ms = now_ms - pace->begun_ms;
  if (now_ms >= pace->until_ms) {
    return PACE_TOO_LATE;
  }
  if (now_ms - pace->window_ms >= PACE_WINDOW_MS) {
    if (came(pace, bytes) < PACE_WINDOW_BYTES) {
      return PACE_TOO_SLOW;
    }
    pace->window_ms = now_ms;
    pace->window_bytes = bytes;
  }
  bool slow = bytes * 1000 / PACE_FAST_BYTES < (uint64_t)lasted_ms;
  return lasted_ms >= PACE_TURN_MS && slow ? PACE_MAY_GIVE_WAY : PACE_GOES_ON;
}

const char *pace_words(enum pace_verdict verdict) {
  static const char *const words[] = {
      [PACE_GOES_ON] = "it goes on",
      [PACE_MAY_GIVE_WAY] = "it came slowly, and others wait that were not tried yet",
      [PACE_TOO_SLOW] = "it comes too slowly: less than 1024 bytes a second",
      [PACE_TOO_LATE] = "it was not here within --fetch-seconds",
  };
  size_t at = (size_t)verdict;
  return at < sizeof words / sizeof words[0] ? words[at] : "it was given up";
}
_Static_assert(PACE_WINDOW_BYTES * 1000 / PACE_WINDOW_MS == 1024, "the words say so");
