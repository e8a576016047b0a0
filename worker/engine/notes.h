/* notes.h - what a user should know of a job that goes well: a few lines, told once. */
#ifndef DARKROOM_WORKER_ENGINE_NOTES_H
#define DARKROOM_WORKER_ENGINE_NOTES_H

#include "base/limits.h"

struct notes {
  int count;
  char text[JOB_WARNINGS_MAX][JOB_WARNING_BYTES_MAX];
};

/* Adds a line, cut and clean (text.h); one that is there already, or too many, is left out. */
void note(struct notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
