/* memory.h - what may be promised: scratch for the largest turn, and the largest picture that there
 * is memory for. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_MEMORY_H
#define DARKROOM_WORKER_ENGINE_MEMORY_H

#include "worker/engine/state.h"

/* Once the models are at home: sets the budget, and how large a picture of each model may be
 * (resident.max_side). EXHAUSTED when there is not enough for the smallest picture of one. */
enum status memory_share(struct engine *engine);

/* Chooses whether the stage's pictures are encoded and decoded at once or in turns
 * (stage->encode_turns, decode_turns), and makes sure that none of its turns can run out of scratch
 * memory: batches of large pictures get fewer rows, and the scratch gets its memory now, in one
 * block a queue and one for pictures in turns. Waits for the device where that moves it. EXHAUSTED
 * when there is no room, or a picture is in the block that would have to grow: nothing happened.
 * BROKEN when not even what was there could be had again, or the device is. */
enum status scratch_reserve(struct engine *engine, struct stage *stage);
/* Gives all of it back, after waiting for the device. */
enum status scratch_close(struct engine *engine);
bool scratch_any(const struct engine *engine);
/* Where what goes into this queue works. */
struct arena *scratch_of(const struct engine *engine, enum queue queue);

#endif
