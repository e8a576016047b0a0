/* children.c - watch, end, reap, start again. */
#include "worker/children.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/engine_main.h"
#include "worker/launch.h"

enum {
  BACKOFF_FIRST_MS = 500,
  BACKOFF_MAX_MS = 60000,
  LEAVING_MS = 3000,
  HEALTHY_MS = 60000,
  LOOK_MS = 1000,                 /* how often an engine that works is looked at, at least */
  UNSEEN_MS_MAX = 2 * LOOK_MS,    /* what one look may add to an engine's silence */
  EXPECTED_MS_MAX = 24 * 3600000, /* of what an engine says about itself */
};
void children_open(struct children *children, const struct worker_devices *devices) {
  *children = (struct children){.count = devices->count};
  for (size_t i = 0; i < devices->count; i++) {
    const struct worker_device *place = &devices->row[i];
    children->child[i] =
        (struct child){.device = place->name, .place = place, .pid = -1, .pipe = {.fd = -1}};
    children->on_host += !place->own_memory;
  }
}

/* starting ------------------------------------------------------------------------------------- */

static void start(const struct children *children, struct child *child, int64_t now_ms) {
  child->killed = false;
  child->end = END_NONE;
  child->loaded = child->said_why = child->told = false;
  child->model_count = 0;
  child->turns = 0;
  child->started_ms = now_ms;
  child_heard(child, now_ms);
  if (launch_engine(children, child) == OK) {
    child->state = CHILD_LOADING;
    log_event("engine_started", log_text("device", child->device), log_number("pid", child->pid));
    return;
  }
  child_says_why(child, fail_reason());
  log_error("engine_not_started", log_text("device", child->device),
            log_text("reason", fail_reason()));
  child->failures++;
  child->due_ms = now_ms + BACKOFF_MAX_MS;
}

/* ending --------------------------------------------------------------------------------------- */

void child_lost(struct child *child, int64_t now_ms) {
  pipe_close(&child->pipe);
  child->state = CHILD_LEAVING;
  child->due_ms = now_ms + LEAVING_MS;
}

void child_kill(struct child *child) {
  child->killed = true;
  child->killed_ms = clock_ms();
  kill(child->pid, SIGKILL);
}

void child_cordon(struct child *child) {
  child->cordoned = true;
  if (child->state == CHILD_AWAY) {
    child->state = CHILD_CORDONED;
  } else if (child->pid > 0 && !child->killed) {
    child_kill(child);
  }
}

void child_let_in(struct child *child, int64_t now_ms) {
  child->cordoned = false;
  child->failures = 0;
  if (child->state == CHILD_CORDONED) {
    child->state = CHILD_AWAY;
    child->due_ms = now_ms;
  }
}

/* It goes into messages and lines: printable, and cut. */
void child_says_why(struct child *child, const char *reason) {
  snprintf(child->reason, sizeof child->reason, "%s", reason);
  for (char *at = child->reason; *at != '\0'; at++) {
    *at = *at >= ' ' && *at < 0x7f ? *at : '?';
  }
}

static const struct {
  int code;
  enum child_end end;
} meanings[] = {
    {EXIT_CODE_OK, END_ORDERED},
    {EXIT_CODE_REFUSED, END_REFUSED},
    {EXIT_CODE_USAGE, END_REFUSED},
    {EXIT_CODE_UNAVAILABLE, END_SHORT},
};

/* SIGKILL is what an operator sends, and the kernel when memory runs out; a fault of the engine's
 * own raises others. */
static enum child_end end_of(const struct child *child, int code, int signal_number, bool loaded) {
  if (child->cordoned && child->killed) {
    return END_CORDON;
  }
  if (child->killed) {
    return loaded ? END_SILENT : END_LOADING;
  }
  if (signal_number == SIGKILL || signal_number == SIGTERM || signal_number == SIGINT) {
    return END_OUTSIDE;
  }
  for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
    if (meanings[i].code == code) {
      return meanings[i].end;
    }
  }
  return END_FAULT;
}

/* In our words, where it has left none of its own. */
static void say_end(struct child *child, int code, int signal_number) {
  char words[CHILD_REASON_BYTES_MAX];
  if (child->end == END_CORDON) {
    child_says_why(child, "its device was cordoned");
  } else if (child->end == END_SILENT || child->end == END_LOADING) {
    child_says_why(child, child->end == END_SILENT ? "it worked without progress, and was ended"
                                                   : "it loaded without progress, and was ended");
  } else if (!child->said_why) {
    bool signalled = signal_number != 0;
    snprintf(words, sizeof words, "%s %d", signalled ? "it was ended by signal" : "it left with",
             signalled ? signal_number : code);
    child_says_why(child, words);
  }
}

static void bury(struct child *child, int exit_status, int64_t now_ms) {
  int code = WIFEXITED(exit_status) ? WEXITSTATUS(exit_status) : -1;
  int signal_number = WIFSIGNALED(exit_status) ? WTERMSIG(exit_status) : 0;
  child->end = end_of(child, code, signal_number, child->loaded);
  say_end(child, code, signal_number);
  log_warning("engine_ended", log_text("device", child->device), log_number("pid", child->pid),
              log_number("code", code), log_number("signal", signal_number),
              log_text("watchdog", child->killed ? "yes" : "no"));
  pipe_close(&child->pipe);
  pulse_close(&child->pulse);
  child->pid = -1;
  if (child->end == END_REFUSED) { /* so would the next one */
    child->state = CHILD_REFUSED;
    return;
  }
  child->failures = now_ms - child->started_ms > HEALTHY_MS ? 1 : child->failures + 1;
  child->state = child->cordoned ? CHILD_CORDONED : CHILD_AWAY;
  child->due_ms = now_ms + backoff_ms(BACKOFF_FIRST_MS, BACKOFF_MAX_MS, child->failures);
  metric_add(M_ENGINE_RESTARTS, 1);
}

/* Reaps without blocking; true when the child is gone. */
static bool reap(struct child *child, int64_t now_ms) {
  int exit_status = 0;
  if (child->pid <= 0 || waitpid(child->pid, &exit_status, WNOHANG) != child->pid) {
    return false;
  }
  bury(child, exit_status, now_ms);
  return true;
}

/* Still there long after it was killed: what it held is given up. */
static void give_up(struct child *child) {
  log_error("engine_cannot_be_ended", log_text("device", child->device),
            log_number("pid", child->pid));
  child->told = true;
  child->end = child->end != END_NONE ? child->end : end_of(child, -1, SIGKILL, child->loaded);
  child_says_why(child, "its process hangs in the driver and cannot be ended");
}

static void tend_leaving(struct children *children, size_t index, int64_t now_ms,
                         void (*ended)(void *context, size_t index), void *context) {
  struct child *child = &children->child[index];
  if (child->due_ms <= now_ms) {
    kill(child->pid, SIGKILL);
  }
  bool told = child->told;
  if (!reap(child, now_ms) && child->due_ms + LEAVING_MS <= now_ms && !told) {
    give_up(child);
  }
  if (!told && (child->told || child->pid < 0)) {
    ended(context, index);
  }
}

/* A child whose pipe still holds reports is not reaped before they are read: a last picture may be
 * among them. */
static void tend_one(struct children *children, size_t index, int64_t now_ms,
                     void (*ended)(void *context, size_t index), void *context) {
  struct child *child = &children->child[index];
  if (child->state == CHILD_AWAY && child->due_ms <= now_ms) {
    start(children, child, now_ms);
  } else if (child->state == CHILD_LOADING && child->silent_ms > children->load_ms &&
             !child->killed) {
    log_error("engine_hangs_loading", log_text("device", child->device),
              log_number("seconds", children->load_ms / 1000));
    child_kill(child);
  } else if (child->state == CHILD_LEAVING) {
    tend_leaving(children, index, now_ms, ended, context);
  } else if (child->killed && child->pid > 0 && child->killed_ms + LEAVING_MS <= now_ms) {
    child_lost(child, now_ms);
  }
}

void children_tend(struct children *children, int64_t now_ms,
                   void (*ended)(void *context, size_t index), void *context) {
  for (size_t i = 0; i < children->count; i++) {
    child_look(&children->child[i], now_ms);
    tend_one(children, i, now_ms, ended, context);
  }
}

int64_t children_due_ms(const struct children *children) {
  enum { LEAVING_LOOK_MS = 10 };
  int64_t due = INT64_MAX;
  for (size_t i = 0; i < children->count; i++) {
    const struct child *child = &children->child[i];
    int64_t own = INT64_MAX;
    if (child->state == CHILD_AWAY) {
      own = child->due_ms;
    } else if (child->state == CHILD_LOADING) {
      own = child->looked_ms + LOOK_MS;
    } else if (child->state == CHILD_LEAVING) {
      own = clock_ms() + (child->told ? LOOK_MS : LEAVING_LOOK_MS);
    }
    due = own < due ? own : due;
  }
  return due;
}

void children_close(struct children *children, int64_t grace_ms) {
  int64_t until_ms = clock_ms() + grace_ms;
  for (size_t i = 0; i < children->count; i++) {
    pipe_close(&children->child[i].pipe);
  }
  for (size_t i = 0; i < children->count; i++) {
    struct child *child = &children->child[i];
    int exit_status = 0;
    while (child->pid > 0 && waitpid(child->pid, &exit_status, WNOHANG) == 0) {
      if (clock_ms() >= until_ms + LEAVING_MS) {
        log_error("engine_cannot_be_ended", log_text("device", child->device),
                  log_number("pid", child->pid));
        break; /* it dies with us: PR_SET_PDEATHSIG, as soon as the driver lets it */
      }
      if (clock_ms() >= until_ms) {
        kill(child->pid, SIGKILL);
      }
      clock_sleep_ms(5);
    }
    child->pid = -1;
    pulse_close(&child->pulse);
  }
}

/* facts ---------------------------------------------------------------------------------------- */

void child_note_turn(struct child *child, uint64_t microseconds) {
  child->turn_us[child->turns++ % CHILD_TURNS_KEPT] = microseconds;
}

static int by_size(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left;
  uint64_t b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

uint64_t child_turn_median_us(const struct child *child) {
  uint64_t sorted[CHILD_TURNS_KEPT];
  size_t count = child->turns < CHILD_TURNS_KEPT ? child->turns : CHILD_TURNS_KEPT;
  if (count == 0) {
    return 0;
  }
  memcpy(sorted, child->turn_us, count * sizeof sorted[0]);
  qsort(sorted, count, sizeof sorted[0], by_size);
  return sorted[count / 2];
}

void child_heard(struct child *child, int64_t now_ms) {
  child->silent_ms = 0;
  child->looked_ms = now_ms;
}

/* A look long after the one before tells nothing about the time between: we were stopped ourselves,
 * or the whole machine was, and so was the engine. */
void child_look(struct child *child, int64_t now_ms) {
  uint64_t count =
      child->pulse != NULL ? atomic_load_explicit(&child->pulse->count, memory_order_relaxed) : 0;
  if (count != child->pulse_seen) {
    child->pulse_seen = count;
    child_heard(child, now_ms);
    return;
  }
  int64_t since_ms = now_ms - child->looked_ms;
  child->silent_ms += since_ms < UNSEEN_MS_MAX ? since_ms : UNSEEN_MS_MAX;
  child->looked_ms = now_ms;
}

int64_t child_patience_ms(const struct children *children, const struct child *child) {
  uint64_t expected_us =
      child->pulse != NULL ? atomic_load_explicit(&child->pulse->expected_us, memory_order_relaxed)
                           : 0;
  uint64_t expected_ms = expected_us / 1000;
  return children->watchdog_ms +
         (int64_t)(expected_ms < EXPECTED_MS_MAX ? expected_ms : EXPECTED_MS_MAX);
}

const struct child_model *child_model(const struct child *child, const char *id) {
  for (size_t i = 0; i < child->model_count; i++) {
    if (strcmp(child->model[i].id, id) == 0) {
      return &child->model[i];
    }
  }
  return NULL;
}

bool children_settled(const struct children *children) {
  for (size_t i = 0; i < children->count; i++) {
    const struct child *child = &children->child[i];
    if (child->state != CHILD_READY && child->state != CHILD_REFUSED &&
        child->state != CHILD_CORDONED && child->failures == 0) {
      return false;
    }
  }
  return true;
}

static size_t count_in(const struct children *children, enum child_state state) {
  size_t count = 0;
  for (size_t i = 0; i < children->count; i++) {
    count += children->child[i].state == state;
  }
  return count;
}

size_t children_ready(const struct children *children) { return count_in(children, CHILD_READY); }

bool children_all_refused(const struct children *children) {
  return count_in(children, CHILD_REFUSED) == children->count;
}
