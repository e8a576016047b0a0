/* pace.h - how fast this device is, as measured: for the length of a turn, and for what may be
 * expected of one. */
#ifndef DARKROOM_WORKER_ENGINE_PACE_H
#define DARKROOM_WORKER_ENGINE_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A U-Net batch should take no longer: so long do a cancel, a person and a newcomer wait. */
#define PACE_TURN_US UINT64_C(2000000)
/* Shapes remembered; the one not seen for longest goes. */
#define PACE_SHAPES_MAX 64

/* A tile is a row too: of about the same work at any size, so all are of one cell. */
enum pace_kind {
  PACE_STEP,
  PACE_DECODE,
  PACE_TILE,
  PACE_TINY,
  PACE_ENCODE,
  PACE_ENCODE_TILE,
  PACE_FETCH
};

/* What a turn computes: rows of one shape of one model. */
struct pace_work {
  const void *model; /* whatever tells models apart */
  enum pace_kind kind;
  int64_t cells; /* of one row's latent image */
  int rows;
  int nets;     /* control nets that are on */
  bool adapted; /* some rows have adapters beside the layers */
};

struct pace {
  uint64_t clock;
  struct pace_shape {
    const void *model; /* NULL: an empty place */
    enum pace_kind kind;
    int64_t cells;
    int nets;
    bool adapted;
    double row_us;
    uint64_t last_use;
  } shape[PACE_SHAPES_MAX];
};

/* The work took so long. */
void pace_note(struct pace *pace, const struct pace_work *work, uint64_t microseconds);

/* How long the work should take: by the rate measured for its shape or, until there is one, by the
 * rate of the shape of the same model and kind that is nearest in size, nets and adapters counted
 * as about what they are. 0: nothing is known. */
uint64_t pace_expect(const struct pace *pace, const struct pace_work *work);

/* How many rows fit into a turn of PACE_TURN_US: at least `least`, as many as one picture needs,
 * and no more than that while nothing is known. work->rows is not looked at. */
int pace_rows(const struct pace *pace, const struct pace_work *work, int least, int most);

#endif
