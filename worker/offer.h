/* offer.h - what we keep saying until it is answered, at growing intervals: a row of plain data. */
#ifndef DARKROOM_WORKER_OFFER_H
#define DARKROOM_WORKER_OFFER_H

#include <stdint.h>

#include "proto/wire.h"

/* At most one of a job, and one HELLO and BYE of a worker. */
struct offer {
  enum wire_verb verb; /* HELLO, BYE, START, COMPLETE, FAIL, RELEASE; 0: nothing is offered */
  uint64_t correlation;
  int64_t due_ms;
  int tries;
};

/* From now on this is said; it is due at once. */
void offer_open(struct offer *offer, enum wire_verb verb);
/* It has been said under this number: without an answer it is due again after a while. */
void offer_said(struct offer *offer, uint64_t correlation, int64_t now_ms);
/* It was refused or not answered: try again later, not before at_least_ms (0: ours to choose). */
void offer_again(struct offer *offer, int64_t now_ms, uint64_t at_least_ms);

#endif
