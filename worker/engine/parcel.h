/* parcel.h - what a job brings along, in memory that the parent has made (pipe.proto's Input). */
#ifndef DARKROOM_WORKER_ENGINE_PARCEL_H
#define DARKROOM_WORKER_ENGINE_PARCEL_H

#include "base/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pipe.pb-c.h"

struct parcel {
  void *memory; /* NULL: there are none */
  size_t bytes;
  struct engine_input row[JOB_INPUTS_MAX];
  struct engine_inputs list; /* of the rows above: what engine_admit is given */
};

/* Maps what an admission says it brings, whose descriptor is the next of the pipe. BAD_INPUT when
 * the parent talks nonsense: no descriptor, memory that could still change, inputs outside of it or
 * of another size than their pixels. EXHAUSTED when it cannot be mapped. An admission without
 * inputs gives an empty list. */
enum status parcel_open(struct pipe *pipe, const Darkroom__Pipe__Admit *admit, struct parcel *out);
/* Safe on a zeroed one. */
void parcel_close(struct parcel *parcel);
/* The same, elsewhere: what it was taken from is empty then. */
void parcel_move(struct parcel *from, struct parcel *to);

#endif
