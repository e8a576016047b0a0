/* child.c - see child.h. */
#include "tests/gpu/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

enum { WORDS_MAX = 40, POLL_MS = 5 };
/* A part ends itself when its time is over; one that does not is killed a little later. */
#define GRACE_NS 5000000000LL

/* In the new process: a group of its own, and an end with whoever began it, so that nothing that a
 * part began disturbs the next. */
static void become(const char *const *words, const char *environment) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (environment != NULL) {
    putenv((char *)environment);
  }
  execvp(words[0], (char *const *)words);
  fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
  _exit(127);
}

static enum status begin(const char *const *words, const char *environment, pid_t *out) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) {
    return fail(EXHAUSTED, "fork: %s", strerror(errno));
  }
  if (pid == 0) {
    become(words, environment);
  }
  setpgid(pid, pid);
  *out = pid;
  return OK;
}

/* The words of a part that is C: this program again. */
static void words_of_function(const struct table *table, const struct part *part,
                              const struct gpu_settings *settings, const struct child *child,
                              const char *seconds, const char **words) {
  const char *const all[] = {process_path(),
                             strchr(table->name, '-') + 1,
                             "--part",
                             part->name,
                             "--rows",
                             child->rows,
                             "--seconds",
                             seconds,
                             "--device",
                             settings->device,
                             "--scratch",
                             settings->scratch,
                             "--demo",
                             settings->demo,
                             "--python",
                             settings->python,
                             "--out",
                             settings->out,
                             settings->tiny ? "--tiny" : "--no-tiny"};
  memcpy(words, all, sizeof all);
  words[sizeof all / sizeof all[0]] = NULL;
}

/* The words of one that is Python: "peer.py step --compiled". */
static void words_of_script(const struct part *part, const struct gpu_settings *settings,
                            const struct child *child, const char *seconds, const char **words) {
  static char script[512];
  int count = 0;
  snprintf(script, sizeof script, "%s", part->script);
  words[count++] = settings->python;
  char *rest = NULL;
  words[count++] = beside_program(strtok_r(script, " ", &rest));
  for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL && count < WORDS_MAX - 12;) {
    words[count++] = word;
  }
  const char *const options[] = {"--rows",    child->rows,       "--seconds", seconds,
                                 "--scratch", settings->scratch, "--demo",    settings->demo,
                                 "--device",  settings->device};
  memcpy(words + count, options, sizeof options);
  count += (int)(sizeof options / sizeof options[0]);
  if (settings->tiny) {
    words[count++] = "--tiny";
  }
  words[count] = NULL;
}

enum status child_begin(const struct table *table, const struct part *part,
                        const struct gpu_settings *settings, double seconds, struct child *out) {
  struct child child = {.begin_ns = clock_ns()};
  const char *words[WORDS_MAX];
  char text[32];
  child.end_ns = child.begin_ns + (int64_t)(seconds * 1e9) + GRACE_NS;
  snprintf(text, sizeof text, "%.1f", seconds);
  snprintf(child.rows, sizeof child.rows, "%s/%s.%s.rows", settings->scratch, table->name,
           part->name);
  unlink(child.rows);
  if (part->script != NULL) {
    words_of_script(part, settings, &child, text, words);
  } else {
    words_of_function(table, part, settings, &child, text, words);
  }
  TRY(begin(words, part->environment, &child.pid));
  *out = child;
  return OK;
}

/* Waits until end_ns; whether it has left. */
static bool left_by(pid_t pid, int64_t end_ns, int *status) {
  while (waitpid(pid, status, WNOHANG) == 0) {
    if (clock_ns() > end_ns) {
      return false;
    }
    clock_sleep_ms(POLL_MS);
  }
  return true;
}

/* The group goes with its first. */
static void end_group(pid_t pid, bool left, int *status) {
  kill(-pid, SIGKILL);
  if (!left) {
    waitpid(pid, status, 0);
  }
}

void child_end(struct child *child, char *how, size_t bytes) {
  int status = 0;
  bool left = left_by(child->pid, child->end_ns, &status);
  end_group(child->pid, left, &status);
  child->end_ns = clock_ns();
  if (!left) {
    snprintf(how, bytes, "its time was over: killed");
  } else if (WIFSIGNALED(status)) {
    snprintf(how, bytes, "ended by signal %d", WTERMSIG(status));
  } else if (WEXITSTATUS(status) != 0) {
    snprintf(how, bytes, "left with %d", WEXITSTATUS(status));
  } else {
    how[0] = '\0';
  }
  child->pid = 0;
}

int command_run(struct report *report, const char *const *words) {
  pid_t pid = 0;
  int status = 0;
  report_must(report, words[0], begin(words, NULL, &pid));
  bool left = left_by(pid, clock_ns() + (int64_t)(report_seconds_left(report) * 1e9), &status);
  end_group(pid, left, &status);
  return left && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum status command_begin(const char *const *words, pid_t *out) { return begin(words, NULL, out); }

bool command_kill(pid_t pid) {
  int status = 0;
  kill(-pid, SIGKILL);
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
