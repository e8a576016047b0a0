/* pace.c - a short table of rates. */
#include "worker/engine/pace.h"

#include <stddef.h>

static bool same_kind(const struct pace_shape *shape, const struct pace_work *work) {
  return shape->model != NULL && shape->model == work->model && shape->kind == work->kind;
}

/* Until it is measured: a net is the half of a U-Net that goes down, of large adapters all layers
 * are half as wide again at most. More is expected rather than less: a turn should not be long. */
#define NET_PART 0.5
#define ADAPTERS_PART 0.25

static double weight_of(int nets, bool adapted) {
  return 1 + NET_PART * nets + (adapted ? ADAPTERS_PART : 0);
}

/* Times as much work as a cell of a plain call. */
static double work_in(const struct pace_work *work) {
  return (double)work->cells * weight_of(work->nets, work->adapted);
}
static double shape_in(const struct pace_shape *shape) {
  return (double)shape->cells * weight_of(shape->nets, shape->adapted);
}

static bool same_shape(const struct pace_shape *shape, const struct pace_work *work) {
  return same_kind(shape, work) && shape->cells == work->cells && shape->nets == work->nets &&
         shape->adapted == work->adapted;
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
    double ratio = shape_in(shape) / work_in(work);
    ratio = same_shape(shape, work) ? 0 : ratio < 1 ? 1 / ratio : ratio;
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
    if (same_shape(shape, work)) {
      return shape;
    }
    oldest = shape->last_use < oldest->last_use ? shape : oldest;
  }
  *oldest = (struct pace_shape){.model = work->model,
                                .kind = work->kind,
                                .cells = work->cells,
                                .nets = work->nets,
                                .adapted = work->adapted};
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
  return shape != NULL ? shape->row_us * work_in(work) / shape_in(shape) : 0;
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
