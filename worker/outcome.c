/* outcome.c - the ways a held job goes on and ends. */
#include "worker/outcome.h"

#include <stdio.h>

#include "monitoring/log.h"
#include "proto/refusal.h"
#include "worker/engine/pipe.h"
#include "worker/engine/pipe.pb-c.h"

/* Tells the engine to forget it, if one has it. */
static void stop_engine(struct worker *worker, struct held *held) {
  if (!held_in_engine(held)) {
    return;
  }
  struct child *child = &worker->children.child[held->child];
  if (child->state != CHILD_READY) {
    return;
  }
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  Darkroom__Pipe__Stop stop = DARKROOM__PIPE__STOP__INIT;
  stop.id = held->id;
  stop.has_fence = 1;
  stop.fence = held->fence;
  order.stop = &stop;
  if (pipe_send(&child->pipe, &order.base) != OK) {
    child_kill(child); /* its end is seen on the pipe */
  }
}

/* What is under way for it ends soon, what it holds is let go. */
static void forget_inputs(struct worker *worker, struct held *held) {
  if (held->inputs.out) {
    media_abandon(worker->media, held->id, held->fence);
  }
  held_drop_inputs(held);
}

static void end(struct worker *worker, struct held *held, enum wire_verb verb) {
  stop_engine(worker, held);
  forget_inputs(worker, held);
  held->state = HELD_ENDING;
  offer_open(&held->offer, verb);
}

void job_fail(struct worker *worker, struct held *held, Darkroom__V1__FailKind kind,
              Darkroom__V1__ErrorCode code, const char *text) {
  held->fail_kind = kind;
  held->error_code = code;
  snprintf(held->error_text, sizeof held->error_text, "%s", text);
  held->remove_objects = true;
  end(worker, held, WIRE_FAIL);
  log_event("job_failed", log_text("job", held->id), log_count("fence", held->fence),
            log_number("kind", kind), log_text("code", refusal_code_name(code)),
            log_text("reason", text));
}

void job_release(struct worker *worker, struct held *held) {
  held->remove_objects = true;
  end(worker, held, WIRE_RELEASE);
  log_event("job_released", log_text("job", held->id), log_count("fence", held->fence));
}

void job_complete_if_whole(struct held *held) {
  if (held->state == HELD_STORING && held->finished && held_all_stored(held)) {
    held->state = HELD_ENDING;
    offer_open(&held->offer, WIRE_COMPLETE);
  }
}

/* The drop is a task of its own: it finds everything it needs in its own copy. */
static void forget(struct worker *worker, struct held *held) {
  bool traces = held->received > 0 || held->leftover;
  struct media_task *task = traces ? media_task(MEDIA_DROP, held->id, held->fence) : NULL;
  if (task != NULL && bytes_append(&task->assign, held->assign.data, held->assign.length) == OK) {
    task->image_count = held->remove_objects ? held->images : 0;
    media_send(worker->media, task);
  } else {
    media_task_close(&task);
  }
  held_drop(held);
}

void job_settle(struct worker *worker, struct held *held) {
  if (held->state == HELD_LEAVING && held->media_out == 0) {
    forget(worker, held);
  }
}

void job_leave(struct worker *worker, struct held *held, bool remove_objects) {
  stop_engine(worker, held);
  forget_inputs(worker, held);
  held->state = HELD_LEAVING;
  held->remove_objects = remove_objects;
  held->offer = (struct offer){0};
  job_settle(worker, held);
}
