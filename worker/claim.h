/* claim.h - CLAIM: the brokers are told what we would take, each time it has changed. */
#ifndef DARKROOM_WORKER_CLAIM_H
#define DARKROOM_WORKER_CLAIM_H

#include <stdint.h>

#include "worker/worker.h"

/* Says CLAIM when what we would take has changed. */
void claim_tend(struct worker *worker);
/* A job was pushed under the CLAIM of this number: one credit is used, and all of them by one that
 * runs alone. */
void claim_used(struct worker *worker, const Darkroom__V1__Assign *assign, uint64_t correlation);
/* This broker took none of our credits: they are said again after a while. */
void claim_refused(struct worker *worker);

#endif
