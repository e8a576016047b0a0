/* report.h - what a part of gpu-check or gpu-bench found: a row a line, as JSON into a file and in
 * words on stdout.
 *
 * Rows are on disk as soon as they are told, so a part that dies or runs out of time has said what
 * it knew.
 */
#ifndef DARKROOM_TESTS_GPU_REPORT_H
#define DARKROOM_TESTS_GPU_REPORT_H

#include <stdbool.h>

#include "base/status.h"

struct report;

/* seconds: what the part may take; see report_seconds_left. */
enum status report_open(const char *path, double seconds, struct report **out);
void report_close(struct report **report);

/* A figure, named "step.b1.graphs". */
void report_value(struct report *report, const char *name, double value, const char *unit);
/* A figure in ms of many, with words for whoever reads the file: not said on stdout. */
void report_detail(struct report *report, const char *name, double ms, const char *words);
/* A judgement: it holds when worst <= allowed, never with a NaN. */
void report_bound(struct report *report, const char *name, double worst, double allowed);
/* A judgement without a figure: why is said when it does not hold. */
void report_holds(struct report *report, const char *name, bool holds, const char *why);
/* A fact in words. */
void report_text(struct report *report, const char *name, const char *text);
/* Nothing can be said here, and that is no fault: a tool that this machine lacks. */
void report_skip(struct report *report, const char *why);

/* What is left of the part's time: below zero it ends itself, having said what it left out. */
double report_seconds_left(const struct report *report);

/* A call that must be OK. Otherwise the part has failed: says so and ends the process. */
void report_must(struct report *report, const char *what, enum status status);

#endif
