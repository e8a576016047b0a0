/* launch.h - an engine process is made from this binary: what it inherits and what it is told. */
#ifndef DARKROOM_WORKER_LAUNCH_H
#define DARKROOM_WORKER_LAUNCH_H

#include "base/status.h"
#include "worker/children.h"

/* Starts the child's process: sets its pid, pipe and pulse. UNAVAILABLE or EXHAUSTED: there is no
 * process, pipe or memory to be had; nothing runs then. */
enum status launch_engine(const struct children *children, struct child *child);

#endif
