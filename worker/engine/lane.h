/* lane.h - the priority classes as lanes that share the device by their weights, whatever is in
 * them.
 *
 * Between lanes and within a lane stands start-time fair queueing (Goyal et al. 1996): each has a
 * virtual time at which it is due, which grows by the work it is given (for a lane over its
 * weight), and who is due first goes first. So a person who comes goes next and has most of the
 * device, however many wait in the other lanes; and nothing starves: no lane, no size, no shape, no
 * decode.
 */
#ifndef DARKROOM_WORKER_ENGINE_LANE_H
#define DARKROOM_WORKER_ENGINE_LANE_H

enum { LANES = 3 };

struct sample;

struct lane {
  double weight;
  double due;
  double
      now; /* the virtual time within it: where newcomers begin. It grows by the work that each in
                 the lane has on average, so that newcomers cannot come before the old for ever */
};

/* The lane of this weight. One is opened for each weight that comes by: there are as many as
 * classes. */
struct lane *lane_of(struct lane lanes[LANES], double weight);
/* How many images of this lane are under way among so many slots. */
int lane_samples(const struct lane *lane, const struct sample *samples, int count);
/* An image begins when the device's virtual time is `now`: if it is alone in its lane, the lane was
 * idle, and one that had nothing to do has saved nothing up. */
void lane_wake(struct lane *lane, int samples, double now);
/* Work for one of so many samples in it is paid. */
void lane_pay(struct lane *lane, int samples, double work);

#endif
