/* ceiling.h - how many rows of a shape the device has turned out to have memory for, where that is
 * fewer than was promised. Remembered as long as the process lives. */
#ifndef DARKROOM_WORKER_ENGINE_CEILING_H
#define DARKROOM_WORKER_ENGINE_CEILING_H

#include <stdint.h>

/* Shapes remembered; the one lowered longest ago goes. */
#define CEILINGS_MAX 64

struct ceilings {
  uint64_t clock;
  struct ceiling {
    const void *model; /* NULL: an empty place */
    int height, width; /* cells */
    int rows;
    uint64_t lowered; /* when */
  } row[CEILINGS_MAX];
};

/* The shape's own, or `most` where nothing is known or more would do. */
int ceiling_of(const struct ceilings *ceilings, const struct ceiling *shape, int most);
/* From now on shape->rows. */
void ceiling_lower(struct ceilings *ceilings, const struct ceiling *shape);

#endif
