/* backoff.h - how long to wait before the next try. */
#ifndef DARKROOM_BASE_BACKOFF_H
#define DARKROOM_BASE_BACKOFF_H

#include <stdint.h>

/* The wait after so many tries, all of them failed: first_ms after the first, twice as long after
 * each further one, max_ms at most. */
int64_t backoff_ms(int64_t first_ms, int64_t max_ms, int tries);

/* 0..max_ms, evenly: so that many who lost the same thing do not come back at the same moment. */
int64_t backoff_jitter_ms(int64_t max_ms);

#endif
