/* admission.c - the order in which jobs enter an engine.
 *
 * A job that runs alone (Assign.alone) waits here until its engine is empty, and while it is there
 * nobody else enters: so if the engine dies, everybody knows of what. Whoever was given first
 * enters first, also where somebody later could enter now: a suspect would else wait for ever
 * behind the small jobs that fill the gaps.
 */
#include "worker/admission.h"

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pipe.pb-c.h"
#include "worker/inputs.h"
#include "worker/outcome.h"
#include "worker/placement.h"

static bool may_enter(struct worker *worker, const struct held *held) {
  const struct held *other = NULL;
  if (worker->children.child[held->child].state != CHILD_READY) {
    return false; /* its end is on its way here, and hands the job back */
  }
  for (size_t at = 0; (other = held_next(&worker->held, &at)) != NULL;) {
    if (other == held || other->child != held->child) {
      continue;
    }
    bool inside = held_in_engine(other) && (other->alone || held->alone);
    bool before = other->state == HELD_WAITING && other->fence < held->fence;
    if (inside || before) {
      return false;
    }
  }
  return true;
}

/* The pipe keeps the order: what the engine was told to stop has left before it reads this. */
static void enter(struct worker *worker, struct held *held) {
  struct child *child = &worker->children.child[held->child];
  if (!placement_has_jobs(worker, held->child)) {
    child_heard(child, clock_ms()); /* it was idle: its silence counts from here */
  }
  Darkroom__Pipe__Admit admission = DARKROOM__PIPE__ADMIT__INIT;
  admission.job = held->job;
  admission.has_fence = 1;
  admission.fence = held->fence;
  if (inputs_admit(held, &child->pipe, &admission) != OK) {
    log_warning("engine_not_reached", log_text("device", child->device),
                log_text("reason", fail_reason()));
    job_release(worker, held);
    return;
  }
  held->state = HELD_ADMITTED;
}

/* Whoever waits before a busy engine goes to one that has fallen empty meanwhile. */
static bool may_enter_some(struct worker *worker, struct held *held) {
  return may_enter(worker, held) ||
         (placement_empty_child_for(worker, held->job, &held->child) && may_enter(worker, held));
}

/* Rows are in no order: one that enters may be what another one waited for. */
void admission_tend(struct worker *worker) {
  bool again = true;
  while (again) {
    struct held *held = NULL;
    again = false;
    for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
      if (held->state == HELD_WAITING && may_enter_some(worker, held)) {
        enter(worker, held);
        again = true;
      }
    }
  }
}
