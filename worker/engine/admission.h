/* admission.h - jobs come, their images get slots, and they leave. What the outside calls of it is
 * in engine.h; this is what a turn calls. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_ADMISSION_H
#define DARKROOM_WORKER_ENGINE_ADMISSION_H

#include "worker/engine/state.h"

/* Gives the task's next image a slot. EXHAUSTED without a slot or memory: nothing happened. */
enum status image_begin(struct engine *engine, struct task *task);
/* Its slot is free; its memory too, as soon as no turn in flight uses it. */
void image_end(struct engine *engine, struct sample *sample);
/* Ends a task and all its images; silent. */
void task_drop(struct engine *engine, struct task *task);
/* The same, and says so. */
void task_fail(struct engine *engine, struct task *task, Darkroom__V1__FailKind kind,
               Darkroom__V1__ErrorCode code, const char *reason);
/* The same for one whose turn could not be queued, or not whole: what was is waited for. status and
 * fail_reason() say why. BROKEN alone is given back. */
enum status task_fail_queued(struct engine *engine, struct task *task, enum status status);

#endif
