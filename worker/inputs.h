/* inputs.h - files that jobs bring: a job that needs some waits (HELD_FETCHING) until media threads
 * have them, and only then goes to an engine. */
#ifndef DARKROOM_WORKER_INPUTS_H
#define DARKROOM_WORKER_INPUTS_H

#include "worker/engine/pipe.pb-c.h"
#include "worker/worker.h"

/* Whether a job has anything to be fetched or made before an engine takes it. */
bool inputs_needed(const Darkroom__V1__Job *job);

/* Sends what is due; hands back what has met its deadline. */
void inputs_tend(struct worker *worker, int64_t now_ms);
/* When inputs_tend has something to do next; INT64_MAX: nothing. */
int64_t inputs_due_ms(const struct worker *worker);

/* A FETCH has come back: the job goes on to an engine, is tried again, or ends. The task's memory
 * is taken over where it is needed. */
void inputs_taken(struct worker *worker, struct held *held, struct media_task *task);

/* Sends the admission with what the job brings, whose memory belongs to the pipe then. */
enum status inputs_admit(struct held *held, struct pipe *pipe,
                         const Darkroom__Pipe__Admit *admission);

#endif
