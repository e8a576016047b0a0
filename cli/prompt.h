/* prompt.h - the words of a job: from the command line, or from stdin. */
#ifndef DARKROOM_CLI_PROMPT_H
#define DARKROOM_CLI_PROMPT_H

#include <stdio.h>

#include "base/arena.h"
#include "proto/refusal.h"

/* "-" reads in to its end, without one line end there, into arena; any other argument is the prompt
 * itself. BAD_INPUT fills *why: it cannot be read, or holds a NUL byte. Length and encoding are
 * job_check's to judge: what is too long comes back too long. */
enum status prompt_take(const char *argument, FILE *in, struct arena *arena, const char **prompt,
                        struct refusal *why);

#endif
