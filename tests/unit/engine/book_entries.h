/* book_entries.h - what is written down of each job. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_BOOK_ENTRIES_H
#define DARKROOM_TESTS_UNIT_ENGINE_BOOK_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proto/darkroom.pb-c.h"

enum { BOOK_JOBS_MAX = 96, BOOK_IMAGES_MAX = 8 };

struct entry {
  char id[JOB_ID_BYTES_MAX + 1];
  uint64_t fence;
  int started, finished, failed, step_events;
  uint32_t step, steps;
  uint32_t pictures;
  uint64_t seed[BOOK_IMAGES_MAX];
  uint64_t hash[BOOK_IMAGES_MAX]; /* FNV-1a of the pixels */
  uint32_t width, height;
  uint8_t *rgb; /* of image 0 */
  Darkroom__V1__FailKind kind;
  Darkroom__V1__ErrorCode code;
  char field[64], reason[256];
  uint64_t denoise_us, decode_us;
  uint32_t denoise_steps;
  int order; /* in which jobs ended */
  int warnings, previews;
  char warning[128]; /* the last */
  uint32_t preview_side;
  uint64_t preview_sum; /* of the bytes of the last */
};
struct book {
  int jobs, ended, turns;
  uint32_t largest_rows;
  uint64_t longest_us; /* of a batch */
  uint64_t total_us;   /* of all batches */
  bool backwards;      /* a step was told that was not more than the one before */
  struct entry entries[BOOK_JOBS_MAX];
};

static inline struct entry *book_find(struct book *book, const char *id) {
  for (int i = 0; i < book->jobs; i++) {
    if (strcmp(book->entries[i].id, id) == 0) {
      return &book->entries[i];
    }
  }
  struct entry *entry = &book->entries[book->jobs++ % BOOK_JOBS_MAX];
  snprintf(entry->id, sizeof entry->id, "%.*s", JOB_ID_BYTES_MAX, id);
  return entry;
}

#endif
