/* launch.c - fork and exec of an engine.
 *
 * The child gets our own arguments and environment, less the keys of the store: it has no use for
 * them. It dies with us (PR_SET_PDEATHSIG, and the end of its pipe), and a terminal's Ctrl-C is for
 * the parent alone.
 */
#include "worker/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/process.h"
#include "worker/engine/engine_main.h"
#include "worker/media/spool.h"

enum {
  ENVIRONMENT_MAX = 1024,
  VARIABLE_BYTES_MAX = SPOOL_FOLDER_BYTES_MAX + 128,
  LAUNCH_OWN_MAX = 8
};
_Static_assert(DEVICE_WORD_BYTES_MAX <= DEVICE_NAME_BYTES_MAX &&
                   DEVICE_WORD_BYTES_MAX + sizeof "DARKROOM_ENGINE_DEVICE=" <= VARIABLE_BYTES_MAX,
               "what an engine is told of its device fits");

/* What the new program is given: made before the fork, because after it only plain system calls are
 * safe. */
struct launch {
  char *environment[ENVIRONMENT_MAX];
  size_t count;
  char own[LAUNCH_OWN_MAX][VARIABLE_BYTES_MAX];
  size_t own_count;
  const char *path;
};

/* OpenMP threads that spin for long while they wait lose whole time slices to any other load:
 * beside two busy processes on two cores a step took 50 times as long as with threads that soon
 * sleep. libgomp reads it before main, so only a parent can set it. */
#define SPIN_COUNT "GOMP_SPINCOUNT"

/* In the spool's folder, where an attempt's name has a dot and a number. */
#define SELF_TEST_FILE "/self-test"

static bool inherited(const char *variable) {
  return strncmp(variable, "AWS_", 4) != 0 && strncmp(variable, "DARKROOM_ENGINE_", 16) != 0;
}

/* One of our own, in the place of an inherited one of that name. */
static void add_own(struct launch *launch, const char *name, const char *value) {
  char *own = launch->own[launch->own_count++];
  size_t bytes = strlen(name);
  snprintf(own, VARIABLE_BYTES_MAX, "%s=%s", name, value);
  for (size_t i = 0; i < launch->count; i++) {
    if (strncmp(launch->environment[i], name, bytes) == 0 && launch->environment[i][bytes] == '=') {
      launch->environment[i] = own;
      return;
    }
  }
  launch->environment[launch->count++] = own;
}

static void add_own_number(struct launch *launch, const char *name, size_t value) {
  char digits[32];
  snprintf(digits, sizeof digits, "%zu", value);
  add_own(launch, name, digits);
}

/* What an engine inherits: its end of the pipe, and the page where it counts its work. */
struct inheritance {
  int pipe, pulse;
};

static void prepare(struct launch *launch, const struct children *children,
                    const struct worker_device *place, const struct inheritance *given) {
  for (char **variable = environ;
       *variable != NULL && launch->count < ENVIRONMENT_MAX - LAUNCH_OWN_MAX - 1; variable++) {
    if (inherited(*variable)) {
      launch->environment[launch->count++] = *variable;
    }
  }
  add_own_number(launch, "DARKROOM_ENGINE_CHILD", (size_t)given->pipe);
  add_own_number(launch, "DARKROOM_ENGINE_PULSE", (size_t)given->pulse);
  add_own(launch, "DARKROOM_ENGINE_DEVICE", place->open);
  add_own(launch, "DARKROOM_ENGINE_NAME", place->name);
  add_own_number(launch, "DARKROOM_ENGINE_ON_HOST", children->on_host);
  add_own_number(launch, "DARKROOM_ENGINE_ON_GPUS", children->count - children->on_host);
  if (children->spool != NULL) {
    char answers[SPOOL_FOLDER_BYTES_MAX + sizeof SELF_TEST_FILE];
    snprintf(answers, sizeof answers, "%s" SELF_TEST_FILE, children->spool);
    add_own(launch, "DARKROOM_ENGINE_ANSWERS", answers);
  }
  if (getenv(SPIN_COUNT) == NULL && getenv("OMP_WAIT_POLICY") == NULL) {
    add_own(launch, SPIN_COUNT, "1000");
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

static enum status launch_with(const struct children *children, struct child *child,
                               const struct inheritance *given) {
  struct launch *launch = calloc(1, sizeof *launch);
  enum status status = launch != NULL ? OK : fail(EXHAUSTED, "no memory");
  if (launch != NULL) {
    prepare(launch, children, child->place, given);
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

enum status launch_engine(const struct children *children, struct child *child) {
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
  enum status status = launch_with(children, child, &given);
  close(given.pulse);
  close(given.pipe);
  if (status != OK) {
    close(pair[0]);
    return status;
  }
  return pipe_open(&child->pipe, pair[0]);
}
