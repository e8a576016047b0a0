/* state.h - what engine.c and turn.c share: the whole state of an engine. Private to this folder.
 */
#ifndef DARKROOM_WORKER_ENGINE_STATE_H
#define DARKROOM_WORKER_ENGINE_STATE_H

#include "worker/engine/batch.h"
#include "worker/engine/engine.h"
#include "worker/engine/pace.h"
#include "worker/engine/pulse.h"

struct engine {
  struct arena *memory; /* of the process: holds this struct too */
  struct engine_settings settings;
  struct engine_listener listener;
  struct residence residence;
  struct budget budget;
  struct conditionings *conditionings;
  struct arena *scratch; /* of the turn, on the device; never runs out: see scratch_reserve */
  size_t scratch_bytes;  /* taken from the budget for it */
  struct drawing_room room;
  uint8_t *rgb; /* where a finished picture reaches the host */
  double now;   /* virtual time between the lanes: a lane that was idle is not due before */
  struct lane lanes[LANES];
  uint64_t admitted;
  struct pace pace;
  struct task tasks[SAMPLES_MAX];
  struct sample samples[SAMPLES_MAX]; /* the slots; the first settings.slots are in use */
};

/* Gives the task's next image a slot. EXHAUSTED without a slot or memory: nothing happened. */
enum status image_begin(struct engine *engine, struct task *task);
void image_end(struct engine *engine, struct sample *sample);
/* How many images of this lane are under way. */
int lane_samples(const struct engine *engine, const struct lane *lane);
/* Ends a task and all its images; silent. */
void task_drop(struct engine *engine, struct task *task);
/* The same, and says so. */
void task_fail(struct engine *engine, struct task *task, Darkroom__V1__FailKind kind,
               Darkroom__V1__ErrorCode code, const char *reason);

#endif
