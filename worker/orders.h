/* orders.h - what the broker says. */
#ifndef DARKROOM_WORKER_ORDERS_H
#define DARKROOM_WORKER_ORDERS_H

#include "base/status.h"
#include "worker/worker.h"

/* Takes every message that is there. BROKEN: the socket cannot be read. */
enum status orders_take_all(struct worker *worker);

#endif
