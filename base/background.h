/* background.h - a thread beside the program's own, for a call of the system that may take as long
 * as it likes.
 */
#ifndef DARKROOM_BASE_BACKGROUND_H
#define DARKROOM_BASE_BACKGROUND_H

#include "base/status.h"

/* Runs work(argument) in a detached thread that takes no signal: they are for the program's own
 * threads, and in this one would wake nobody. argument belongs to work from then on. UNAVAILABLE:
 * there is no thread to be had, work is not run and argument stays the caller's. */
enum status background_run(void *(*work)(void *argument), void *argument);

#endif
