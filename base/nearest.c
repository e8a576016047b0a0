/* nearest.c - edit distance with one row of the table kept. */
#include "base/nearest.h"

#include <stdbool.h>
#include <string.h>

#define NAME_BYTES_MAX 64

static size_t smallest(size_t a, size_t b, size_t c) {
  size_t least = a < b ? a : b;
  return least < c ? least : c;
}

/* Levenshtein distance; row[i] is the distance of a[0..j) to b[0..i). */
static size_t distance(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
  size_t row[NAME_BYTES_MAX + 1];
  for (size_t i = 0; i <= b_bytes; i++) {
    row[i] = i;
  }
  for (size_t j = 1; j <= a_bytes; j++) {
    size_t diagonal = row[0];
    row[0] = j;
    for (size_t i = 1; i <= b_bytes; i++) {
      size_t above = row[i];
      row[i] = smallest(above + 1, row[i - 1] + 1, diagonal + (a[j - 1] != b[i - 1]));
      diagonal = above;
    }
  }
  return row[b_bytes];
}

void nearest_offer(struct nearest *nearest, const char *name) {
  size_t typed_bytes = strlen(nearest->typed);
  size_t name_bytes = strlen(name);
  if (typed_bytes > NAME_BYTES_MAX || name_bytes > NAME_BYTES_MAX) {
    return;
  }
  size_t found = distance(nearest->typed, typed_bytes, name, name_bytes);
  /* A suggestion that shares less than about half of the name misleads. */
  bool close_enough = found <= 1 + name_bytes / 4 && found < name_bytes;
  if (close_enough && (nearest->name == NULL || found < nearest->distance)) {
    nearest->name = name;
    nearest->distance = found;
  }
}
