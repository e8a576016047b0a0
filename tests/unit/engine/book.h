/* book.h - a listener that writes down what an engine tells, job by job. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_BOOK_H
#define DARKROOM_TESTS_UNIT_ENGINE_BOOK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tests/unit/engine/book_entries.h"
#include "tests/unit/engine/words.h"
#include "worker/engine/engine.h"

static inline void book_started(void *context, const char *id, uint64_t fence) {
  struct entry *entry = book_find(context, id);
  entry->started++;
  entry->fence = fence;
}
static inline void book_step(void *context, const char *id, uint64_t fence, uint32_t step,
                             uint32_t steps) {
  (void)fence;
  struct book *book = context;
  struct entry *entry = book_find(book, id);
  book->backwards = book->backwards || step <= entry->step || step > steps;
  entry->step_events++;
  entry->step = step;
  entry->steps = steps;
}
static inline void book_pixels(void *context, const struct engine_picture *picture) {
  struct entry *entry = book_find(context, picture->id);
  size_t bytes = (size_t)picture->width * picture->height * 3;
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < bytes; i++) {
    hash = (hash ^ picture->rgb[i]) * UINT64_C(1099511628211);
  }
  entry->pictures++;
  entry->width = picture->width;
  entry->height = picture->height;
  if (picture->index < BOOK_IMAGES_MAX) {
    entry->hash[picture->index] = hash;
    entry->seed[picture->index] = picture->seed;
  }
  if (picture->index == 0) {
    entry->rgb = realloc(entry->rgb, bytes);
    memcpy(entry->rgb, picture->rgb, bytes);
  }
}
static inline void book_finished(void *context, const char *id, uint64_t fence,
                                 const Darkroom__V1__Timings *timings) {
  (void)fence;
  struct book *book = context;
  struct entry *entry = book_find(book, id);
  entry->finished++;
  entry->order = ++book->ended;
  entry->denoise_us = timings->denoise_us;
  entry->decode_us = timings->decode_us;
  entry->denoise_steps = timings->denoise_steps;
}
static inline void book_failed(void *context, const char *id, uint64_t fence,
                               Darkroom__V1__FailKind kind, const Darkroom__V1__Error *error) {
  (void)fence;
  struct book *book = context;
  struct entry *entry = book_find(book, id);
  entry->failed++;
  entry->order = ++book->ended;
  entry->kind = kind;
  entry->code = error->code;
  snprintf(entry->field, sizeof entry->field, "%s", error->field != NULL ? error->field : "");
  snprintf(entry->reason, sizeof entry->reason, "%.*s", (int)sizeof entry->reason - 1,
           error->message != NULL ? error->message : "");
}
static inline void book_turn(void *context, uint32_t rows, uint32_t samples,
                             uint64_t microseconds) {
  (void)samples;
  struct book *book = context;
  book->turns++;
  book->largest_rows = rows > book->largest_rows ? rows : book->largest_rows;
  book->total_us += microseconds;
  book->longest_us = microseconds > book->longest_us ? microseconds : book->longest_us;
}

static inline void book_warning(void *context, const char *id, uint64_t fence, const char *text) {
  (void)fence;
  struct entry *entry = book_find(context, id);
  entry->warnings++;
  snprintf(entry->warning, sizeof entry->warning, "%.*s", (int)sizeof entry->warning - 1, text);
}

static inline void book_preview(void *context, const struct engine_picture *picture) {
  struct entry *entry = book_find(context, picture->id);
  entry->previews++;
  entry->preview_side = picture->width;
  entry->preview_sum = 0;
  for (uint32_t i = 0; i < picture->width * picture->height * 3; i++) {
    entry->preview_sum += picture->rgb[i];
  }
}

static inline struct engine_listener book_listener(struct book *book) {
  return (struct engine_listener){.context = book,
                                  .started = book_started,
                                  .step = book_step,
                                  .pixels = book_pixels,
                                  .finished = book_finished,
                                  .failed = book_failed,
                                  .turn = book_turn,
                                  .warning = book_warning,
                                  .preview = book_preview};
}
static inline void book_close(struct book *book) {
  for (int i = 0; i < BOOK_JOBS_MAX; i++) {
    free(book->entries[i].rgb);
  }
  *book = (struct book){0};
}

#endif
