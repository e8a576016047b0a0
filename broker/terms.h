/* terms.h - the terms of a lease and of the queue: numbers that the scripts and the broker share.
 *
 * Times are milliseconds of the logical clock. embed-scripts gives them to the scripts by name.
 */
#ifndef DARKROOM_BROKER_TERMS_H
#define DARKROOM_BROKER_TERMS_H

#include "base/limits.h"

#define LEASE_ASSIGNED_MS 5000 /* until the worker says START: sent is not received */
#define LEASE_RUNNING_MS 30000 /* renewed by every beat */
#define LEASE_GONE_MS 6000     /* left when its connection closes; a beat restores it */
#define BEAT_MS 5000
#define CLOCK_STEP_MS_MAX 750 /* the most one tick adds, whatever the wall clock says */
#define TICK_MS 500

#define CLASSES 3               /* interactive, standard, bulk: levels 0, 1, 2 */
#define AGEING_MS 60000         /* waiting this long moves a job up one level */
#define CRASH_WORKERS_MAX 2     /* crashes alone on so many different workers quarantine a job */
#define HANDOFFS_MAX 20         /* after so many hand-backs each further one is a loss */
#define QUARANTINE_MS 259200000 /* 72 h: how long an operator may requeue or bury; then FAILED */
#define BACKOFF_MS 1000 /* the first retry after a fail, doubled by each further one, +-50% */

#define FENCE_JUMP 1048576       /* at a new Redis run: a restored counter repeats no fence */
#define WORKER_SILENT_MS 30000   /* no beat for so long: shown as gone */
#define WORKER_FORGET_MS 3600000 /* gone for so long: no longer listed */

#define CODE_WORKER_LOST 16 /* ErrorCode of the contract that scripts store themselves */

_Static_assert(CLOCK_STEP_MS_MAX > TICK_MS, "one broker's ticks carry the clock");
_Static_assert(LEASE_GONE_MS > BEAT_MS, "a closed and reopened connection costs no lease");
_Static_assert(LEASE_RUNNING_MS > 3 * BEAT_MS, "a lost beat or two costs no lease");

#endif
