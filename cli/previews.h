/* previews.h - pictures on their way, from a job's events into files. */
#ifndef DARKROOM_CLI_PREVIEWS_H
#define DARKROOM_CLI_PREVIEWS_H

#include <stdbool.h>

#include "cli/complaint.h"
#include "cli/options.h"
#include "cli/progress.h"

/* Where the previews of one job go. */
struct previews {
  const char *place; /* a folder, a file or NULL: nowhere */
  const char *id;    /* of the job */
  bool failed;       /* one could not be written, which was said */
};

/* Whether options->previews can take them; says what is wrong. Before the work is asked for. */
enum exit_code previews_check(const struct options *options);

/* Writes what an event brings: into a folder each as ID-INDEX-STEP.jpg, into a file the newest. One
 * that cannot be written is told of once and keeps nobody from the picture. */
void previews_take(struct previews *previews, const Darkroom__V1__Preview *preview,
                   struct progress *progress);

#endif
