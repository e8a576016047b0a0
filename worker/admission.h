/* admission.h - jobs that we hold enter their engines: at once, or when the engine is theirs alone.
 */
#ifndef DARKROOM_WORKER_ADMISSION_H
#define DARKROOM_WORKER_ADMISSION_H

#include "worker/worker.h"

/* Sends to their engines all waiting jobs that may enter now. */
void admission_tend(struct worker *worker);

#endif
