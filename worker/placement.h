/* placement.h - which engine takes a job, and what may be granted: the one place that knows. */
#ifndef DARKROOM_WORKER_PLACEMENT_H
#define DARKROOM_WORKER_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "worker/worker.h"

/* What the worker would take now. The limits of one model may be lower than the total, never their
 * sum: a slot is granted once and not once for each model that could use it. */
struct grant {
  uint32_t jobs; /* in all */
  struct credit credit[MODELS_MAX];
  size_t count;
};

/* The child for a job of this model: ready, with all that the job names (NULL: it names nothing),
 * the most free slots and no job that runs alone, if there is one without. False: there is none. */
bool placement_child_for(const struct worker *worker, const char *model,
                         const Darkroom__V1__Job *job, size_t *child);
/* A child for it that is ready and empty, with nobody waiting before it. False: there is none. */
bool placement_empty_child_for(const struct worker *worker, const Darkroom__V1__Job *job,
                               size_t *child);
/* Images that the child could begin now; negative when some wait in it or before it. */
int placement_free_slots(const struct worker *worker, size_t child);
/* Whether any job is in its hands. */
bool placement_has_jobs(const struct worker *worker, size_t child);
/* Free slots, and one that falls free soon. Nothing while the worker drains, its store refuses, or
 * its spool or table is full; the models are named all the same. */
void placement_grant(const struct worker *worker, struct grant *out);

#endif
