/* expectation.h - what the turns in flight should take, said where the parent sees it. Private to
 * this folder. */
#ifndef DARKROOM_WORKER_ENGINE_EXPECTATION_H
#define DARKROOM_WORKER_ENGINE_EXPECTATION_H

#include "worker/engine/state.h"

struct pace_work work_of(const struct stage *stage, enum pace_kind kind, int rows);
/* What is in flight, and this besides, which is about to be queued. */
void expect_more(struct engine *engine, const struct pace_work *work);
/* What is in flight; nothing of an idle engine. */
void expect_rest(struct engine *engine);

#endif
