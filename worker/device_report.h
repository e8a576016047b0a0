/* device_report.h - the worker's devices as a BEAT tells of them. */
#ifndef DARKROOM_WORKER_DEVICE_REPORT_H
#define DARKROOM_WORKER_DEVICE_REPORT_H

#include "base/arena.h"
#include "proto/darkroom.pb-c.h"
#include "worker/worker.h"

/* All of them, in the arena; texts are borrowed from the worker. NULL without memory. */
Darkroom__V1__Devices *device_report(const struct worker *worker, struct arena *arena);

/* What their states come to: another number is news. */
uint64_t device_report_key(const struct worker *worker);

#endif
