/* lane.c - virtual times of classes. */
#include "worker/engine/lane.h"

#include <assert.h>

#include "worker/engine/sample.h"

struct lane *lane_of(struct lane lanes[LANES], double weight) {
  int i = 0;
  while (lanes[i].weight > 0 && lanes[i].weight != weight) {
    i++;
    assert(i < LANES);
  }
  lanes[i].weight = weight;
  return &lanes[i];
}

int lane_samples(const struct lane *lane, const struct sample *samples, int count) {
  int found = 0;
  for (int i = 0; i < count; i++) {
    found += samples[i].task != NULL && samples[i].task->lane == lane;
  }
  return found;
}

void lane_wake(struct lane *lane, int samples, double now) {
  if (samples <= 1 && lane->due < now) {
    lane->due = now;
  }
}

void lane_pay(struct lane *lane, int samples, double work) {
  lane->due += work / lane->weight;
  lane->now += work / samples;
}
