/* example.h - a picture and a mask for models that draw nothing without: what the self-test and
 * warming up bring along. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_EXAMPLE_H
#define DARKROOM_WORKER_ENGINE_EXAMPLE_H

#include <stdbool.h>

#include "base/arena.h"
#include "worker/engine/engine.h"

struct example {
  struct arena *memory;
  Darkroom__V1__Blob blob;
  struct engine_input input[2];
  struct engine_inputs inputs;
};

/* Whether models of this family want one. */
bool example_wanted(const struct family *family);
/* A slope of colours of the job's size, its right half covered; the job says so. Borrowed by the
 * job until it is closed. EXHAUSTED. */
enum status example_open(Darkroom__V1__Job *job, struct example *out);
/* Safe on a zeroed one. */
void example_close(struct example *example);

#endif
