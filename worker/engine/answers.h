/* answers.h - the pictures that models gave in their self-test when they were first seen, by what
 * they were and on what class of device they ran: the next process compares. A file that several
 * engines of a worker share: read whole, written whole and at once, under a lock beside it. */
#ifndef DARKROOM_WORKER_ENGINE_ANSWERS_H
#define DARKROOM_WORKER_ENGINE_ANSWERS_H

#include <stdint.h>

#include "base/status.h"

/* Pictures in the file; the oldest goes. Their sides, and the length of what says whose one is. */
#define ANSWERS_MAX 128
#define ANSWER_SIDE_MAX 64
#define ANSWER_SUBJECT_BYTES_MAX 512
/* How far apart two pictures of the same subject may be, in 1/255: any value, and all on average.
 * The same library on the same hardware gives the same bits; another thread count of `cpu` may
 * round otherwise. What is broken is off by tens. */
#define ANSWER_VALUE_OFF_MAX 8
#define ANSWER_MEAN_OFF_MAX 1.0

struct answer {
  const char *subject; /* model, device class, program: whatever decides the bits */
  uint32_t width, height;
  const uint8_t *rgb;
};

/* Compares with the one of this subject in the file; where there is none yet, this one is kept. A
 * damaged file counts as empty and is written anew. BROKEN, with a clear text, when the pictures
 * are too far apart, and then only. A file that cannot be read or written now is logged and
 * forgiven. */
enum status answers_compare(const char *path, const struct answer *answer);

#endif
