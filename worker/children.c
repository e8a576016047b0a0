/* children.c - fork, exec, watch, reap.
 *
 * The child gets our own arguments and environment, less the keys of the store: it has no use for
 * them. It dies with us (PR_SET_PDEATHSIG, and the end of its pipe), and a terminal's Ctrl-C is for
 * the parent alone.
 */
#include "worker/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/engine/engine_main.h"

enum {
  BACKOFF_FIRST_MS = 500,
  BACKOFF_MAX_MS = 60000,
  LEAVING_MS = 3000,
  HEALTHY_MS = 60000,
  LOOK_MS = 1000,                 /* how often an engine that works is looked at, at least */
  UNSEEN_MS_MAX = 2 * LOOK_MS,    /* what one look may add to an engine's silence */
  EXPECTED_MS_MAX = 24 * 3600000, /* of what an engine says about itself */
};
enum { ENVIRONMENT_MAX = 1024 };
#define ENVIRONMENT_FD "DARKROOM_ENGINE_CHILD"
#define ENVIRONMENT_PULSE "DARKROOM_ENGINE_PULSE"
#define ENVIRONMENT_DEVICE "DARKROOM_ENGINE_DEVICE"

void children_open(struct children *children, const char *const *devices, size_t count) {
  *children = (struct children){.count = count};
  for (size_t i = 0; i < count; i++) {
    children->child[i] = (struct child){.device = devices[i], .pid = -1, .pipe = {.fd = -1}};
  }
}

/* starting ------------------------------------------------------------------------------------- */

/* What the new program is given: made before the fork, because after it only plain system calls are
 * safe. */
struct launch {
  char *environment[ENVIRONMENT_MAX];
  char fd[64], pulse[64], device[128], spin_count[32];
  const char *path;
};

/* OpenMP threads that spin for long while they wait lose whole time slices to any other load:
 * beside two busy processes on two cores a step took 50 times as long as with threads that soon
 * sleep. libgomp reads it before main, so only a parent can set it. */
#define SPIN_COUNT "GOMP_SPINCOUNT"

static bool inherited(const char *variable) {
  return strncmp(variable, "AWS_", 4) != 0 &&
         strncmp(variable, ENVIRONMENT_FD, sizeof ENVIRONMENT_FD - 1) != 0 &&
         strncmp(variable, ENVIRONMENT_PULSE, sizeof ENVIRONMENT_PULSE - 1) != 0 &&
         strncmp(variable, ENVIRONMENT_DEVICE, sizeof ENVIRONMENT_DEVICE - 1) != 0;
}

/* What an engine inherits: its end of the pipe, and the page where it counts its work. */
struct inheritance {
  int pipe, pulse;
};

static void prepare(struct launch *launch, const char *device, const struct inheritance *given) {
  size_t count = 0;
  for (char **variable = environ; *variable != NULL && count < ENVIRONMENT_MAX - 5; variable++) {
    if (inherited(*variable)) {
      launch->environment[count++] = *variable;
    }
  }
  snprintf(launch->fd, sizeof launch->fd, ENVIRONMENT_FD "=%d", given->pipe);
  snprintf(launch->pulse, sizeof launch->pulse, ENVIRONMENT_PULSE "=%d", given->pulse);
  snprintf(launch->device, sizeof launch->device, ENVIRONMENT_DEVICE "=%s", device);
  snprintf(launch->spin_count, sizeof launch->spin_count, SPIN_COUNT "=1000");
  launch->environment[count++] = launch->fd;
  launch->environment[count++] = launch->pulse;
  launch->environment[count++] = launch->device;
  if (getenv(SPIN_COUNT) == NULL && getenv("OMP_WAIT_POLICY") == NULL) {
    launch->environment[count] = launch->spin_count;
  }
  launch->path = process_path();
}

/* In the new process: nothing that could take a lock. */
static void become(const struct launch *launch, const struct inheritance *given, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setpgid(0, 0);
  fcntl(given->pipe, F_SETFD, 0);
  fcntl(given->pulse, F_SETFD, 0);
  if (getppid() == parent) { /* otherwise it died before the prctl */
    execve(launch->path, process_arguments(), launch->environment);
  }
  _Exit(EXIT_CODE_UNAVAILABLE);
}

static enum status launch_with(struct child *child, const struct inheritance *given) {
  struct launch *launch = calloc(1, sizeof *launch);
  enum status status = launch != NULL ? OK : fail(EXHAUSTED, "no memory");
  if (launch != NULL) {
    prepare(launch, child->device, given);
  }
  pid_t parent = getpid();
  pid_t pid = status == OK ? fork() : -1;
  if (pid == 0) {
    become(launch, given, parent);
  }
  free(launch);
  child->pid = pid;
  return status == OK && pid < 0 ? fail(UNAVAILABLE, "no process: %s", strerror(errno)) : status;
}

static enum status launch_child(struct child *child) {
  int pair[2];
  struct inheritance given = {.pulse = -1};
  pulse_close(&child->pulse);
  child->pulse_seen = 0;
  TRY(pulse_open(&child->pulse, &given.pulse));
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    close(given.pulse);
    return fail(UNAVAILABLE, "no socket pair: %s", strerror(errno));
  }
  given.pipe = pair[1];
  enum status status = launch_with(child, &given);
  close(given.pulse);
  close(given.pipe);
  if (status != OK) {
    close(pair[0]);
    return status;
  }
  return pipe_open(&child->pipe, pair[0]);
}

static void start(struct child *child, int64_t now_ms) {
  child->killed = false;
  child->model_count = 0;
  child->turns = 0;
  child->started_ms = now_ms;
  child_heard(child, now_ms);
  if (launch_child(child) == OK) {
    child->state = CHILD_LOADING;
    log_event("engine_started", log_text("device", child->device), log_number("pid", child->pid));
    return;
  }
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
  kill(child->pid, SIGKILL);
}

static int64_t backoff_ms(int failures) {
  int64_t wait = BACKOFF_FIRST_MS;
  for (int i = 1; i < failures && wait < BACKOFF_MAX_MS; i++) {
    wait *= 2;
  }
  return wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
}

static void bury(struct child *child, int exit_status, int64_t now_ms) {
  int code = WIFEXITED(exit_status) ? WEXITSTATUS(exit_status) : -1;
  int signal_number = WIFSIGNALED(exit_status) ? WTERMSIG(exit_status) : 0;
  log_warning("engine_ended", log_text("device", child->device), log_number("pid", child->pid),
              log_number("code", code), log_number("signal", signal_number),
              log_text("watchdog", child->killed ? "yes" : "no"));
  pipe_close(&child->pipe);
  pulse_close(&child->pulse);
  child->pid = -1;
  if (code == EXIT_CODE_REFUSED || code == EXIT_CODE_USAGE) { /* so would the next one */
    child->state = CHILD_REFUSED;
    return;
  }
  child->failures = now_ms - child->started_ms > HEALTHY_MS ? 1 : child->failures + 1;
  child->state = CHILD_AWAY;
  child->due_ms = now_ms + backoff_ms(child->failures);
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

/* A child whose pipe still holds reports is not reaped before they are read: a last picture may be
 * among them. */
static void tend_one(struct children *children, size_t index, int64_t now_ms,
                     void (*ended)(void *context, size_t index), void *context) {
  struct child *child = &children->child[index];
  if (child->state == CHILD_AWAY && child->due_ms <= now_ms) {
    start(child, now_ms);
  } else if (child->state == CHILD_LOADING && child->silent_ms > children->load_ms &&
             !child->killed) {
    log_error("engine_hangs_loading", log_text("device", child->device),
              log_number("seconds", children->load_ms / 1000));
    child_kill(child);
  } else if (child->state == CHILD_LEAVING) {
    if (child->due_ms <= now_ms) {
      kill(child->pid, SIGKILL);
    }
    if (reap(child, now_ms)) {
      ended(context, index);
    }
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
      own = clock_ms() + LEAVING_LOOK_MS;
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
    if (child->state != CHILD_READY && child->state != CHILD_REFUSED && child->failures == 0) {
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
