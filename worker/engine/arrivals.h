/* arrivals.h - models that are not pinned come when a job asks for them and go when others need
 * their room: the longest unused of those for which nobody is at work or waits. Private to this
 * folder.
 *
 * Their weights are in the same budget as samples, conditionings and scratch. One is loaded at a
 * time, for the job that has waited longest. While there is no room for it the others go on; when
 * that has lasted a while (TENURE_MS, and as long since a model last came), newcomers wait until
 * it has its room. So two models that do not fit together take turns of many pictures each, and
 * none of them waits for ever.
 */
#ifndef DARKROOM_WORKER_ENGINE_ARRIVALS_H
#define DARKROOM_WORKER_ENGINE_ARRIVALS_H

#include "worker/engine/state.h"

/* How long models at home may keep one that waits from its room. */
#define TENURE_MS 10000
/* After a load has failed, how long its jobs fail with the same words before it is tried again. */
#define TROUBLE_MS 30000

/* Who gives room when it is short (conditionings_ask_also). */
bool arrivals_forget_oldest(void *engine);
/* Goes on with the load that is under way, or begins one. `slice_ms`: for how long the device may
 * be its; `idle`: nobody else needs it. BROKEN alone is given back: a load that fails is its jobs'
 * trouble. */
enum status arrivals_turn(struct engine *engine, int64_t slice_ms, bool idle);
/* A load is under way or waits for room. */
bool arrivals_any(const struct engine *engine);
/* Whether a task that is sound may be admitted: its models are at home, and nobody is kept from his
 * room. EXHAUSTED: not yet; they are asked for. BAD_INPUT with *why: not here. */
enum status arrivals_check(struct engine *engine, const struct task *task, struct refusal *why);
/* The task is admitted: its models have waited enough. */
void arrivals_note(struct engine *engine, const struct task *task);
/* Ends what is under way. */
void arrivals_close(struct engine *engine);

#endif
