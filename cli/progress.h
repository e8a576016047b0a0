/* progress.h - what happens to a job, on stderr: a bar on a terminal, plain lines elsewhere. */
#ifndef DARKROOM_CLI_PROGRESS_H
#define DARKROOM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/darkroom.pb-c.h"

struct progress {
  bool quiet;
  bool terminal; /* one that can clear a line */
  bool bar_shown;
  int64_t begun_ms; /* of the first step seen of this attempt */
  uint32_t begun_step;
  uint32_t step;
  uint32_t quarter; /* of the steps, as last said in a plain line */
  int64_t position; /* as last said */
};

void progress_open(struct progress *progress, bool quiet);

/* Shows one event; TERMINAL only ends the bar. */
void progress_event(struct progress *progress, const Darkroom__V1__Event *event);

/* A line of its own, above the bar. Shown also when quiet. */
void progress_say(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, but silent when quiet. */
void progress_tell(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes the bar off the terminal. */
void progress_end(struct progress *progress);

/* Where a job's time went, in one line. */
void progress_timings(const Darkroom__V1__Timings *timings);

#endif
