/* pictures.h - finished pictures on their way to the store. */
#ifndef DARKROOM_WORKER_PICTURES_H
#define DARKROOM_WORKER_PICTURES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "worker/worker.h"

/* Takes what the media threads have done. */
void pictures_take_all(struct worker *worker);
/* Sends what waits to the store, and asks a store that is away. */
void pictures_tend(struct worker *worker, int64_t now_ms);
int64_t pictures_due_ms(const struct worker *worker);
/* A finished picture goes to the media threads. */
void picture_received(struct worker *worker, struct held *held, uint32_t index, uint32_t width,
                      uint32_t height, struct bytes *rgb);
/* Once the engine is through with it and every picture has been spooled, the spool shall know. */
void picture_seal(struct worker *worker, struct held *held);

#endif
