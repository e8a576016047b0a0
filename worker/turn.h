/* turn.h - the worker's loop. */
#ifndef DARKROOM_WORKER_TURN_H
#define DARKROOM_WORKER_TURN_H

#include "worker/worker.h"

/* Runs until drained; returns what to exit with. signals is a signalfd of SIGTERM, SIGINT and
 * SIGCHLD. */
enum exit_code worker_run(struct worker *worker, int signals);

#endif
