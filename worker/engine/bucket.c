/* bucket.c - fields, compared as bytes. */
#include "worker/engine/bucket.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"

void bucket_fill(const struct stage *stage, int row, struct bucket *out) {
  memset(out, 0, sizeof *out);
  out->resident = stage->resident;
  out->merged = stage->merged_number;
  out->height = stage->latent_height;
  out->width = stage->latent_width;
  out->planes = stage->planes;
  for (int i = 0; i < stage->controls.count; i++) {
    if (control_is_on(&stage->controls.row[i], row)) {
      out->control[out->control_count++] = stage->controls.row[i].net;
    }
  }
}

bool bucket_same(const struct bucket *a, const struct bucket *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

const char *bucket_print(const struct bucket *bucket, char text[BUCKET_TEXT_BYTES_MAX]) {
  int at = snprintf(text, BUCKET_TEXT_BYTES_MAX, "%.64s %dx%d planes=%d merged=%llu",
                    bucket->resident->id, bucket->width, bucket->height, bucket->planes,
                    (unsigned long long)bucket->merged);
  for (int i = 0; i < bucket->control_count && at < BUCKET_TEXT_BYTES_MAX; i++) {
    at += snprintf(text + at, (size_t)(BUCKET_TEXT_BYTES_MAX - at), " control=%.24s",
                   bucket->control[i]->id);
  }
  return text;
}

uint64_t bucket_number(const struct bucket *bucket) {
  return hash_on(HASH_START, bucket, sizeof *bucket);
}
