/* state.h - the whole state of an engine. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_STATE_H
#define DARKROOM_WORKER_ENGINE_STATE_H

#include "worker/engine/batch.h"
#include "worker/engine/ceiling.h"
#include "worker/engine/engine.h"
#include "worker/engine/flight.h"
#include "worker/engine/leaving.h"
#include "worker/engine/load.h"
#include "worker/engine/pace.h"
#include "worker/engine/pulse.h"
#include "worker/engine/trial.h"

/* Scratch memory, one block on the device. Never runs out: memory.h. */
struct scratch {
  struct arena *arena;
  size_t bytes; /* taken from the budget for it */
};

/* Beside those of the queues: what is kept between the turns of one picture (tiles.h). */
enum { SCRATCH_TILES = FLIGHT_QUEUES, SCRATCHES };

/* Models on their way; arrivals.h. */
struct arrivals {
  struct load *load; /* one at a time; NULL: none */
  struct arriving {  /* what it opens */
    struct device *device;
    const struct model_source *source;
  } arriving;
  struct resident *who;
  size_t promised; /* bytes of the budget, for it */
  int64_t began_ms;
  int64_t short_ms;   /* since when there is no room for the next one; 0: there is, or none */
  int64_t settled_ms; /* when the last one came */
  bool given_up;
  struct trial trial; /* of one that has come */
};

struct engine {
  struct arena *memory; /* of the process: holds this struct too */
  struct engine_settings settings;
  struct engine_listener listener;
  struct residence residence;
  struct budget budget;
  struct conditionings *conditionings;
  struct adapters_cache *adapters;
  struct words_cache *words;
  struct scratch scratch[SCRATCHES]; /* by queue; on a device that does one thing after another all
                                        turns work in that of QUEUE_STEPS */
  struct drawing_room room;
  double now; /* virtual time between the lanes: a lane that was idle is not due before */
  struct lane lanes[LANES];
  struct arrivals arrivals;
  bool alone; /* nobody else is here while a job is admitted */
  uint64_t admitted, lives;
  struct pace pace;
  struct ceilings ceilings;
  struct flights flights;
  struct leaving leaving;
  struct task tasks[SAMPLES_MAX];
  struct sample samples[SAMPLES_MAX]; /* the slots; the first settings.slots are in use */
};

#endif
