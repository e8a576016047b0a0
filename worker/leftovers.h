/* leftovers.h - jobs of an earlier life of this worker. */
#ifndef DARKROOM_WORKER_LEFTOVERS_H
#define DARKROOM_WORKER_LEFTOVERS_H

#include "base/status.h"
#include "worker/worker.h"

/* Holds again what the spool says was finished and not handed in. */
enum status leftovers_read(struct worker *worker);

#endif
