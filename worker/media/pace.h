/* pace.h - whether one file of a job comes fast enough to be waited for.
 *
 * Files come from anywhere. A source that drips must not hold a thread for ever: a transfer ends at
 * its job's limit, when next to nothing came for a while, and, where others wait that were never
 * tried, as soon as it has had its time and is slow. It is tried again later, in turn.
 */
#ifndef DARKROOM_WORKER_MEDIA_PACE_H
#define DARKROOM_WORKER_MEDIA_PACE_H

#include <stdint.h>

enum {
  PACE_TURN_MS = 2000,           /* that any transfer has, whoever waits */
  PACE_WINDOW_MS = 10000,        /* in each of which must come */
  PACE_WINDOW_BYTES = 10 * 1024, /* so much */
  PACE_FAST_BYTES = 64 * 1024,   /* a second: who is as fast gives way to nobody */
};

enum pace_verdict {
  PACE_GOES_ON,
  PACE_MAY_GIVE_WAY, /* when somebody waits */
  PACE_TOO_SLOW,
  PACE_TOO_LATE,
};

struct pace {
  int64_t begun_ms, until_ms; /* of the transfer; when its job's patience ends */
  int64_t window_ms;          /* when the window began */
  uint64_t window_bytes;      /* what had come by then */
};

void pace_begin(int64_t now_ms, int64_t until_ms, struct pace *out);
/* What is to become of a transfer of which so many bytes have come. */
enum pace_verdict pace_look(struct pace *pace, int64_t now_ms, uint64_t bytes);
/* Why it was given up, for people. */
const char *pace_words(enum pace_verdict verdict);

#endif
