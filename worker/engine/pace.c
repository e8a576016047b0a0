/* pace.c - a short table of rates. */
#include "worker/engine/pace.h"

#include <stdbool.h>
#include <stddef.h>

static bool same_kind(const struct pace_shape *shape, const struct pace_work *work) {
  return shape->model != NULL && shape->model == work->model && shape->kind == work->kind;
}

/* The shape's own place, else that of the same kind nearest in size; NULL without any. */
static const struct pace_shape *nearest(const struct pace *pace, const struct pace_work *work) {
  const struct pace_shape *best = NULL;
  double best_ratio = 0;
  for (int i = 0; i < PACE_SHAPES_MAX; i++) {
    const struct pace_shape *shape = &pace->shape[i];
    if (!same_kind(shape, work)) {
      continue;
    }
    double ratio = (double)shape->cells / (double)work->cells;
    ratio = ratio < 1 ? 1 / ratio : ratio;
    if (best == NULL || ratio < best_ratio) {
      best = shape;
      best_ratio = ratio;
    }
  }
  return best;
}

static struct pace_shape *place_for(struct pace *pace, const struct pace_work *work) {
  struct pace_shape *oldest = &pace->shape[0];
  for (int i = 0; i < PACE_SHAPES_MAX; i++) {
    struct pace_shape *shape = &pace->shape[i];
    if (same_kind(shape, work) && shape->cells == work->cells) {
      return shape;
    }
    oldest = shape->last_use < oldest->last_use ? shape : oldest;
  }
  *oldest = (struct pace_shape){.model = work->model, .kind = work->kind, .cells = work->cells};
  return oldest;
}

/* The first turn of a shape pays for what is made once (primitives, packed weights), and any turn
 * may meet another load of the machine: good news counts for half, bad news for a quarter. */
void pace_note(struct pace *pace, const struct pace_work *work, uint64_t microseconds) {
  struct pace_shape *shape = place_for(pace, work);
  double row_us = (double)(microseconds + 1) / work->rows; /* 0 would mean that nothing is known */
  if (shape->row_us <= 0) {
    shape->row_us = row_us;
  } else {
    shape->row_us += (row_us - shape->row_us) / (row_us < shape->row_us ? 2 : 4);
  }
  shape->last_use = ++pace->clock;
}

static double row_us(const struct pace *pace, const struct pace_work *work) {
  const struct pace_shape *shape = nearest(pace, work);
  return shape != NULL ? shape->row_us * (double)work->cells / (double)shape->cells : 0;
}

uint64_t pace_expect(const struct pace *pace, const struct pace_work *work) {
  return (uint64_t)(row_us(pace, work) * work->rows);
}

int pace_rows(const struct pace *pace, const struct pace_work *work, int least, int most) {
  double each = row_us(pace, work);
  if (each <= 0 || most <= least) {
    return least;
  }
  double fit = (double)PACE_TURN_US / each;
  return fit <= least ? least : fit >= most ? most : (int)fit;
}
