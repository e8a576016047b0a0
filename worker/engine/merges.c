/* merges.c - one load at a time, and who waits for it. */
#include "worker/engine/merges.h"

#include <stdio.h>
#include <string.h>

#include "monitoring/log.h"

#define WAIT_MS 10 /* for files, when there is nothing else to do */

bool merges_under_way(const struct merges *merges) { return merges->load != NULL; }

bool merges_any(const struct merges *merges) { return merges->merge.row != NULL; }

/* ---- who waits ---- */

static struct merge_waiter *find(struct merges *merges, const char *id, uint64_t fence) {
  for (int i = 0; id != NULL && i < merges->waiters; i++) {
    struct merge_waiter *waiter = &merges->waiter[i];
    if (waiter->fence == fence && strcmp(waiter->id, id) == 0) {
      return waiter;
    }
  }
  return NULL;
}

/* More than there can be jobs do not wait here: one more is tried again after every turn. */
void merges_wait(struct merges *merges, const char *id, uint64_t fence, bool own) {
  struct merge_waiter *waiter = find(merges, id, fence);
  if (waiter == NULL && id != NULL && merges->waiters < SAMPLES_MAX) {
    waiter = &merges->waiter[merges->waiters++];
    snprintf(waiter->id, sizeof waiter->id, "%s", id);
    waiter->fence = fence;
  }
  if (waiter != NULL) {
    waiter->own = own && !merges->given_up; /* then it is begun anew */
    waiter->asked = true;
  }
}

static bool any_own(const struct merges *merges) {
  for (int i = 0; i < merges->waiters; i++) {
    if (merges->waiter[i].own) {
      return true;
    }
  }
  return false;
}

static void remove_waiter(struct merges *merges, struct merge_waiter *waiter) {
  *waiter = merges->waiter[--merges->waiters];
}

void merges_ask_anew(struct merges *merges) {
  for (int i = 0; i < merges->waiters; i++) {
    merges->waiter[i].asked = false;
  }
}

static void remove_unasked(struct merges *merges) {
  for (int i = merges->waiters - 1; i >= 0; i--) {
    if (!merges->waiter[i].asked) {
      remove_waiter(merges, &merges->waiter[i]);
    }
  }
}

bool merges_expected(struct merges *merges, const char *id, uint64_t fence) {
  struct merge_waiter *waiter = find(merges, id, fence);
  if (waiter == NULL) {
    return false;
  }
  waiter->asked = true;
  return waiter->own ? merges->load != NULL : merges_any(merges);
}

/* ---- what is made ---- */

/* What has been made is there for whoever finds it; why one could not be made is forgotten. */
static void let_go(struct merges *merges) {
  struct merge *merge = &merges->merge;
  for (size_t i = 0; i < merge->count; i++) {
    shelf_let_go(merge->file[i]);
  }
  struct merge ended = *merge;
  *merge = (struct merge){0};
  ended.listener->let_go(ended.row);
}

static void let_go_when_unwanted(struct merges *merges) {
  if (merges->load == NULL && merges_any(merges) && !any_own(merges)) {
    let_go(merges);
  }
}

void merges_settle(struct merges *merges, const char *id, uint64_t fence) {
  struct merge_waiter *waiter = find(merges, id, fence);
  if (waiter != NULL) {
    remove_waiter(merges, waiter);
    let_go_when_unwanted(merges);
  }
}

/* In the load's thread. */
static enum status make(void *context, const struct loader_pauses *pauses, void **out) {
  const struct merge *merge = context;
  struct adaptation *adaptation = NULL;
  TRY(adaptation_open_beside(merge->model, merge->use, merge->count, pauses, &adaptation));
  *out = adaptation;
  return OK;
}

enum status merges_begin(struct merges *merges, const struct merge *merge) {
  merges->merge = *merge;
  merges->given_up = false;
  const struct load_work work = {make, &merges->merge};
  enum status status = load_begin(&work, &merges->load);
  if (status != OK) {
    budget_give(merges->budget, merge->scratch);
    let_go(merges);
  }
  return status;
}

static enum status finish(struct merges *merges) {
  struct merge *merge = &merges->merge;
  void *made = NULL;
  enum status status = load_end(&merges->load, &made);
  budget_give(merges->budget, merge->scratch);
  merge->listener->made(merge->row, made, status);
  if (status == OK) {
    log_event("adapters_merged", log_count("adapters", merge->count));
  } else if (!merges->given_up) {
    log_warning("adapters_not_merged", log_text("status", status_name(status)),
                log_text("reason", fail_reason()));
  }
  let_go_when_unwanted(merges);
  return status == BROKEN ? BROKEN : OK;
}

enum status merges_turn(struct merges *merges, int64_t slice_ms, bool idle) {
  remove_unasked(merges);
  let_go_when_unwanted(merges);
  if (merges->load == NULL) {
    return OK;
  }
  if (!any_own(merges) && !merges->given_up) {
    merges->given_up = true;
    load_give_up(merges->load);
  }
  enum load_state state = load_turn(merges->load, slice_ms);
  if (state == LOAD_READS && idle) {
    load_wait(merges->load, WAIT_MS);
  }
  return state == LOAD_ENDED ? finish(merges) : OK;
}

void merges_close(struct merges *merges) {
  merges->waiters = 0;
  if (merges->load != NULL) {
    (void)finish(merges);
  }
  let_go_when_unwanted(merges);
}
