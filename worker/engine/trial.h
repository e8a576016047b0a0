/* trial.h - a model that has come on demand is tried before it is offered, as pinned ones are at
 * the start: its self-test's pictures (self_test.h), then one of the size that it was made for, so
 * that what is made once is made and its pace is known. Its jobs go through turns like any other's,
 * in their lane, so others go between; nobody hears of them. Private to this folder.
 */
#ifndef DARKROOM_WORKER_ENGINE_TRIAL_H
#define DARKROOM_WORKER_ENGINE_TRIAL_H

#include "worker/engine/self_test.h"

struct resident;
/* engine_admit, of whoever opens the engine: admission is above this. */
typedef enum status (*trial_admit)(struct engine *engine, const Darkroom__V1__Job *job,
                                   uint64_t fence, const struct engine_inputs *inputs);
struct trial {
  trial_admit admit;          /* set once, and kept */
  const struct resident *who; /* NULL: none is under way */
  struct self_test test;
  struct self_test_outcome outcome;
  struct engine_listener own, outer; /* of its jobs, and of all others */
  uint64_t number;                   /* of the run */
  bool admitted, ended;              /* that run */
  bool waits;                        /* for a slot or for memory: newcomers wait behind it */
  int64_t began_ms;
};

/* Begins one; the engine's listener is this from now on. */
void trial_begin(struct engine *engine, struct trial *trial, const struct resident *who,
                 const struct self_test *test);
/* Goes on. *over: it is, and the listener is what it was; then OK: the model may be offered.
 * BAD_INPUT: it draws nothing; EXHAUSTED: not even its small pictures have room; BROKEN: the device
 * does not compute what it should, or what a turn fails with. */
enum status trial_turn(struct engine *engine, struct trial *trial, bool *over);

#endif
