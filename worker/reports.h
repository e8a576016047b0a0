/* reports.h - what the engines say, and what their silence says. */
#ifndef DARKROOM_WORKER_REPORTS_H
#define DARKROOM_WORKER_REPORTS_H

#include <stddef.h>
#include <stdint.h>

#include "worker/worker.h"

/* Takes what this child has sent. One that cannot be understood is ended. */
void reports_take_all(struct worker *worker, size_t child);
/* A child has died: its jobs end with it. worker is a struct worker *. */
void reports_child_ended(void *worker, size_t child);
/* Kills engines that hold jobs and show no progress. */
void watchdog(struct worker *worker, int64_t now_ms);

#endif
