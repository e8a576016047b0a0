/* outcome.h - how a held job goes on and ends. */
#ifndef DARKROOM_WORKER_OUTCOME_H
#define DARKROOM_WORKER_OUTCOME_H

#include <stdbool.h>

#include "worker/worker.h"

/* The engine shall forget it; its outcome is offered until a broker takes it. */
void job_fail(struct worker *worker, struct held *held, Darkroom__V1__FailKind kind,
              Darkroom__V1__ErrorCode code, const char *text);
void job_release(struct worker *worker, struct held *held);
/* Offers COMPLETE once the engine is through and every picture is stored. */
void job_complete_if_whole(struct held *held);
/* Nothing more is said of it: engine, spool and, if asked, store forget it. */
void job_leave(struct worker *worker, struct held *held, bool remove_objects);
/* A media task of it came back: frees the row if that was the last it waited for. */
void job_settle(struct worker *worker, struct held *held);

#endif
