/* ceiling.c - a short table, searched from end to end. */
#include "worker/engine/ceiling.h"

#include <stdbool.h>
#include <stddef.h>

static bool same(const struct ceiling *a, const struct ceiling *b) {
  return a->model == b->model && a->height == b->height && a->width == b->width;
}

int ceiling_of(const struct ceilings *ceilings, const struct ceiling *shape, int most) {
  for (int i = 0; i < CEILINGS_MAX; i++) {
    const struct ceiling *row = &ceilings->row[i];
    if (row->model != NULL && same(row, shape)) {
      return row->rows < most ? row->rows : most;
    }
  }
  return most;
}

void ceiling_lower(struct ceilings *ceilings, const struct ceiling *shape) {
  struct ceiling *place = &ceilings->row[0];
  for (int i = 0; i < CEILINGS_MAX; i++) {
    struct ceiling *row = &ceilings->row[i];
    if (row->model != NULL && same(row, shape)) {
      place = row;
      break;
    }
    place = row->lowered < place->lowered ? row : place; /* an empty one was never lowered */
  }
  *place = *shape;
  place->lowered = ++ceilings->clock;
}
