/* child.h - a part's process: begun with its own time, ended when that is over. */
#ifndef DARKROOM_TESTS_GPU_CHILD_H
#define DARKROOM_TESTS_GPU_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/gpu/part.h"

struct child {
  pid_t pid; /* 0: was not begun */
  int64_t begin_ns, end_ns;
  char rows[4096]; /* the file of its rows */
};

/* Begins the part, to be ended after so many seconds. */
enum status child_begin(const struct table *table, const struct part *part,
                        const struct gpu_settings *settings, double seconds, struct child *out);
/* Waits for it, and ends it and all that it began when its time is over. how says what became of
 * it in words: "" when it left with 0. */
void child_end(struct child *child, char *how, size_t bytes);

/* Runs a command in a child of this part and gives its exit code: 127 when there is no such
 * command, -1 when a signal ended it or the part's time did. */
int command_run(struct report *report, const char *const *words);
/* Begins one, to be killed in the middle of its work; whether it was still at it. */
enum status command_begin(const char *const *words, pid_t *out);
bool command_kill(pid_t pid);

#endif
