/* offers.h - what the worker offers the broker, and repeats until it is acknowledged. */
#ifndef DARKROOM_WORKER_OFFERS_H
#define DARKROOM_WORKER_OFFERS_H

#include <stdint.h>

#include "worker/worker.h"

/* Says what is due. */
void offers_tend(struct worker *worker, int64_t now_ms);
int64_t offers_due_ms(struct worker *worker, int64_t now_ms);
/* RELEASE for an assignment that no row holds. Said once: if it is lost, the lease lapses. */
void offers_give_back(struct worker *worker, const Darkroom__V1__Assign *assign);
/* Everything is said again at once: the broker has changed. */
void offers_restart(struct worker *worker);

#endif
