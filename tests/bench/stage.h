/* stage.h - how a program that is measured and run-bench-queue talk.
 *
 * The program warms up, prints `ready PID...` (every process of its own whose processor time
 * counts), waits for a line, does its work, prints `NAME VALUE` lines and `done`, and ends when its
 * standard input does. What happens between is measured from outside, the same for every peer.
 */
#ifndef DARKROOM_TESTS_BENCH_STAGE_H
#define DARKROOM_TESTS_BENCH_STAGE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"

enum { STAGE_WARM = 500, STAGE_REST_MS = 2, STAGE_PROMPT_BYTES = 292, STAGE_RESULT_BYTES = 142 };

/* A child that works beside, and is not left behind. 0 in the child. */
static inline pid_t stage_fork(void) {
  pid_t parent = getpid(), child = fork();
  if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)) {
    _exit(1);
  }
  return child;
}

/* Waits for the word to begin; the time then. */
static inline int64_t stage_begin(pid_t child, pid_t second_child) {
  char line[16];
  printf("ready %d", (int)getpid());
  for (int i = 0; i < 2; i++) {
    pid_t pid = i == 0 ? child : second_child;
    if (pid > 0) {
      printf(" %d", (int)pid);
    }
  }
  printf("\n");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) {
    exit(1);
  }
  return clock_ns();
}

static inline void stage_tell(const char *name, double value) { printf("%s %.9g\n", name, value); }

static inline int stage_ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static inline void stage_tell_spread(double *ms, long count) {
  qsort(ms, (size_t)count, sizeof *ms, stage_ascending);
  stage_tell("p50_ms", ms[count / 2]);
  stage_tell("p99_ms", ms[count * 99 / 100]);
}

/* Everything is told; stays until nobody wants to look at the processes any more. */
static inline void stage_done(int64_t begun_ns) {
  char rest[64];
  stage_tell("seconds", (double)(clock_ns() - begun_ns) / 1e9);
  printf("done\n");
  fflush(stdout);
  while (fgets(rest, sizeof rest, stdin) != NULL) {
  }
}

#endif
