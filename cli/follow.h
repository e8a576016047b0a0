/* follow.h - stays with one job until it ends, through lost brokers, lost answers and Ctrl-C. */
#ifndef DARKROOM_CLI_FOLLOW_H
#define DARKROOM_CLI_FOLLOW_H

#include "base/arena.h"
#include "cli/complaint.h"
#include "cli/link.h"
#include "cli/options.h"

struct following {
  const struct options *options;
  struct link *link;
  struct arena *arena;
  const char *id;
  Darkroom__V1__Job *job; /* to submit first; NULL: it is there already */
};

/* Follows to the end. EXIT_CODE_OK: *out is the final status, of whatever outcome, and lives in the
 * arena. Otherwise *out is NULL and why was said on stderr. Ctrl-C cancels a job of ours once, and
 * leaves the second time; a job that is only watched is left at once: EXIT_CODE_INTERRUPTED, with
 * *out set if it did end CANCELLED. */
enum exit_code follow(const struct following *following, Darkroom__V1__JobStatus **out);

#endif
