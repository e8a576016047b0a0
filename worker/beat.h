/* beat.h - BEAT: we live, and so far are our jobs. */
#ifndef DARKROOM_WORKER_BEAT_H
#define DARKROOM_WORKER_BEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/worker.h"

/* Says BEAT when it is due: in the broker's rhythm, or soon when there is news. */
void beat_tend(struct worker *worker, int64_t now_ms);
int64_t beat_due_ms(struct worker *worker);
/* The stored pictures as the contract names them, in the arena; with fresh only those that no BEAT
 * has told yet. How many; fewer than there are when memory runs out. */
size_t beat_images(struct arena *arena, struct held *held, bool fresh,
                   Darkroom__V1__Artifact ***out);

#endif
