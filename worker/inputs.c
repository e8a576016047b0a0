/* inputs.c - fetching, from the loop's side: when to ask, when to ask again, when to give up.
 *
 * A job that is fetched for uses no slot of an engine until its share of slots is used up by others
 * (placement.c), keeps its lease by BEAT, and is started only when its files are here: so a place
 * that is slow costs its own jobs time, and nobody an attempt.
 */
#include "worker/inputs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/limits.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/job_inputs.h"
#include "worker/engine/pipe.h"
#include "worker/outcome.h"
#include "worker/placement.h"

enum {
  FETCH_FIRST_MS = 300,
  FETCH_MAX_MS = 10000,
  SLOW_MAX = HELD_MAX / 3, /* jobs whose files come slowly; they take no slot, but a row */
};

bool inputs_needed(const Darkroom__V1__Job *job) {
  return job_input_count(job) > 0 || job->padding != NULL;
}

/* asking -------------------------------------------------------------------------------------- */

static bool is_file(Darkroom__V1__BlobKind kind) {
  return kind == DARKROOM__V1__BLOB_KIND__BLOB_ADAPTER ||
         kind == DARKROOM__V1__BLOB_KIND__BLOB_EMBEDDING;
}

/* The most that a job's inputs become: pictures have its size, other files as many bytes as it
 * says, or as they may have. */
static uint64_t bytes_expected(const Darkroom__V1__Job *job) {
  uint64_t pixels = (uint64_t)job->width * job->height;
  uint64_t bytes = job->padding != NULL ? pixels : 0;
  struct job_input input;
  for (size_t at = 0; job_input_at(job, at, &input); at++) {
    const Darkroom__V1__Blob *blob = input.blob;
    uint64_t said = blob->has_bytes ? blob->bytes : input.bytes_max;
    said = blob->has_inline_ ? blob->inline_.len : said;
    bytes += is_file(input.kind) ? said : 3 * pixels;
  }
  return bytes < JOB_INPUT_BYTES_MAX ? bytes : JOB_INPUT_BYTES_MAX;
}

/* What is here for jobs that no engine has yet, and what is on its way. */
static uint64_t bytes_here(const struct worker *worker) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    bytes += held->state != HELD_FREE ? held->inputs.bytes : 0;
  }
  return bytes;
}

/* A job without enough memory for its files waits until others have gone to their engines; one at
 * least goes on. */
static bool room_for(const struct worker *worker, const struct held *held) {
  uint64_t bytes = bytes_here(worker);
  uint64_t most = (uint64_t)worker->options->inputs_mib << 20;
  return bytes == 0 || bytes + bytes_expected(held->job) <= most;
}

static void fail_for_memory(struct worker *worker, struct held *held) {
  job_fail(worker, held, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
           DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, fail_reason());
}

static bool at_hand(const Darkroom__V1__Job *job) {
  struct job_input input;
  for (size_t at = 0; job_input_at(job, at, &input); at++) {
    if (!input.blob->has_inline_) {
      return false;
    }
  }
  return true;
}

static void send_fetch(struct worker *worker, struct held *held, int64_t now_ms) {
  struct media_task *task = media_task(MEDIA_FETCH, held->id, held->fence);
  if (task == NULL || bytes_append(&task->assign, held->assign.data, held->assign.length) != OK) {
    media_task_close(&task);
    fail_for_memory(worker, held);
    return;
  }
  if (held->inputs.begun_ms == 0) {
    held->inputs.begun_ms = now_ms;
  }
  task->at_hand = at_hand(held->job);
  task->again = held->inputs.tries > 0;
  task->until_ms = held->inputs.begun_ms + worker->options->fetch_seconds * 1000;
  held->inputs.out = true;
  held->inputs.bytes = bytes_expected(held->job);
  held->media_out++;
  media_send(worker->media, task);
}

/* The queue ends it: it was never started. */
static void meet_deadline(struct worker *worker, struct held *held) {
  bool fetching = held->state == HELD_FETCHING;
  log_event(fetching ? "deadline_while_fetching" : "deadline_in_engine", log_text("job", held->id),
            log_count("fence", held->fence));
  job_release(worker, held);
}

/* Also of one that waits in an engine, for memory or for its model. */
static bool has_deadline(const struct held *held) {
  return held->state == HELD_FETCHING || held->state == HELD_ADMITTED;
}

static void meet_deadlines(struct worker *worker, int64_t now_ms) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (has_deadline(held) && now_ms >= held->inputs.deadline_ms) {
      meet_deadline(worker, held);
    }
  }
}

/* Those that were tried before, or were not: the memory that there is goes to these first. */
static void send_fetches(struct worker *worker, int64_t now_ms, bool again) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    bool due = held->state == HELD_FETCHING && !held->inputs.out && held->inputs.due_ms <= now_ms &&
               (held->inputs.tries > 0) == again;
    if (due && room_for(worker, held)) {
      send_fetch(worker, held, now_ms);
    }
  }
}

/* Where very many come slowly, the one that has taken longest goes back: rows are for others,
 * too. */
static void let_slow_go(struct worker *worker, int64_t now_ms) {
  struct held *longest = NULL;
  struct held *held = NULL;
  size_t slow = 0;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    if (held_fetches_slowly(held, now_ms)) {
      slow++;
      bool longer = longest == NULL || held->inputs.begun_ms < longest->inputs.begun_ms;
      longest = longer ? held : longest;
    }
  }
  if (slow > SLOW_MAX) {
    job_fail(worker, longest, DARKROOM__V1__FAIL_KIND__FAIL_RETRY,
             DARKROOM__V1__ERROR_CODE__ERROR_INPUT,
             "its files come slowly, and so do those of many other jobs");
  }
}

void inputs_tend(struct worker *worker, int64_t now_ms) {
  struct held *held = NULL;
  size_t fetching = 0;
  meet_deadlines(worker, now_ms);
  send_fetches(worker, now_ms, false);
  send_fetches(worker, now_ms, true);
  let_slow_go(worker, now_ms);
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    fetching += held->state == HELD_FETCHING;
  }
  metric_set(M_JOBS_FETCHING, (double)fetching);
}

/* From then on it takes no slot, so that more may be asked for. */
static int64_t turns_slow_ms(const struct held *held, int64_t now_ms) {
  bool will = held->state == HELD_FETCHING && held->inputs.begun_ms != 0 &&
              !held_fetches_slowly(held, now_ms);
  return will ? held->inputs.begun_ms + HELD_SLOW_MS : INT64_MAX;
}

/* One that waits for room is looked at whenever something else has happened. */
int64_t inputs_due_ms(const struct worker *worker) {
  int64_t due_ms = INT64_MAX;
  int64_t now_ms = clock_ms();
  for (size_t i = 0; i < HELD_MAX; i++) {
    const struct held *held = &worker->held.row[i];
    if (!has_deadline(held)) {
      continue;
    }
    bool asks = held->state == HELD_FETCHING && !held->inputs.out && room_for(worker, held);
    int64_t own_ms = asks && held->inputs.due_ms < held->inputs.deadline_ms
                         ? held->inputs.due_ms
                         : held->inputs.deadline_ms;
    int64_t slow_ms = turns_slow_ms(held, now_ms);
    own_ms = slow_ms < own_ms ? slow_ms : own_ms;
    due_ms = own_ms < due_ms ? own_ms : due_ms;
  }
  return due_ms;
}

/* what came of it ----------------------------------------------------------------------------- */

static void arrived(struct worker *worker, struct held *held, struct media_task *task) {
  struct held_inputs *inputs = &held->inputs;
  inputs->row = arena_take(held->arena, task->input_count * sizeof inputs->row[0]);
  if (inputs->row == NULL) {
    fail_for_memory(worker, held);
    return;
  }
  memcpy(inputs->row, task->input, task->input_count * sizeof inputs->row[0]);
  inputs->count = task->input_count;
  inputs->bytes = task->input_bytes;
  inputs->descriptor = task->descriptor;
  task->descriptor = -1;
  held->timings.has_fetch_us = 1;
  held->timings.fetch_us = task->fetch_us;
  log_event("inputs_fetched", log_text("job", held->id), log_count("inputs", inputs->count),
            log_count("bytes", inputs->bytes), log_number("ms", clock_ms() - inputs->begun_ms));
  /* the engine that it was meant for may be gone or full by now */
  if (worker->draining || !placement_child_for(worker, held->job->model, held->job, &held->child)) {
    job_release(worker, held);
    return;
  }
  held->state = HELD_WAITING;
}

static void give_up(struct worker *worker, struct held *held, const struct media_task *task,
                    Darkroom__V1__FailKind kind) {
  char text[HELD_TEXT_MAX];
  snprintf(text, sizeof text, "%s: %.200s", task->field, task->reason);
  snprintf(held->error_field, sizeof held->error_field, "%s", task->field);
  job_fail(worker, held, kind, DARKROOM__V1__ERROR_CODE__ERROR_INPUT, text);
}

static void try_again(struct worker *worker, struct held *held, const struct media_task *task) {
  int64_t now_ms = clock_ms();
  struct held_inputs *inputs = &held->inputs;
  if (now_ms - inputs->begun_ms >= worker->options->fetch_seconds * 1000) {
    give_up(worker, held, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
    return;
  }
  int64_t wait_ms = backoff_ms(FETCH_FIRST_MS, FETCH_MAX_MS, ++inputs->tries);
  wait_ms = wait_ms > task->retry_after_ms ? wait_ms : task->retry_after_ms;
  inputs->due_ms = now_ms + wait_ms;
  log_event("input_not_fetched", log_text("job", held->id), log_text("field", task->field),
            log_text("reason", task->reason), log_number("again_ms", wait_ms));
}

void inputs_taken(struct worker *worker, struct held *held, struct media_task *task) {
  held->inputs.out = false;
  held->inputs.bytes = 0;
  if (held->state != HELD_FETCHING) {
    return; /* it was given up in the meantime */
  }
  if (task->status == OK) {
    arrived(worker, held, task);
  } else if (task->status == UNAVAILABLE) {
    metric_add_labelled(M_INPUT_FAILURES, "unavailable", 1);
    try_again(worker, held, task);
  } else if (task->status == BAD_INPUT) {
    metric_add_labelled(M_INPUT_FAILURES, "wrong", 1);
    give_up(worker, held, task, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
  } else {
    metric_add_labelled(M_INPUT_FAILURES, "refused", 1);
    give_up(worker, held, task, DARKROOM__V1__FAIL_KIND__FAIL_RETRY);
  }
}

/* going on ------------------------------------------------------------------------------------ */

enum status inputs_admit(struct held *held, struct pipe *pipe,
                         const Darkroom__Pipe__Admit *admission) {
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  Darkroom__Pipe__Admit with = *admission;
  Darkroom__Pipe__Input row[JOB_INPUTS_MAX];
  Darkroom__Pipe__Input *rows[JOB_INPUTS_MAX];
  struct held_inputs *inputs = &held->inputs;
  for (size_t i = 0; i < inputs->count; i++) {
    const struct media_input *from = &inputs->row[i];
    darkroom__pipe__input__init(&row[i]);
    row[i].has_kind = row[i].has_index = row[i].has_width = row[i].has_height = 1;
    row[i].has_channels = row[i].has_offset = row[i].has_bytes = 1;
    row[i].kind = from->kind;
    row[i].index = from->index;
    row[i].width = from->width;
    row[i].height = from->height;
    row[i].channels = from->channels;
    row[i].offset = from->offset;
    row[i].bytes = from->bytes;
    rows[i] = &row[i];
  }
  with.n_input = inputs->count;
  with.input = rows;
  order.admit = &with;
  if (inputs->count == 0) {
    return pipe_send(pipe, &order.base);
  }
  int descriptor = inputs->descriptor;
  inputs->descriptor = -1; /* the pipe's now */
  held_drop_inputs(held);
  return pipe_send_descriptor(pipe, &order.base, descriptor);
}
