/* progress.h - work done by this process, counted where it is done, so that whoever watches can
 * tell slow from stuck.
 *
 * The count says nothing of how much work a piece is; only that it moves matters. It is moved by
 * the code that computes (an op, a piece of one, a part of a file read and hashed), never by a
 * clock or a thread of its own: a process that is stopped, spins or waits for ever does not move
 * it.
 */
#ifndef DARKROOM_BASE_PROGRESS_H
#define DARKROOM_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

/* Another piece is done. Any thread; costs a write to one cache line, so call it for pieces of some
 * 50 us and more, and at least every 100 ms of work. */
void progress_count(void);

/* How many pieces so far. */
uint64_t progress_counted(void);

/* From now on counted there (memory shared with a watcher, borrowed until the process ends). Call
 * before other threads count. */
void progress_share(_Atomic uint64_t *count);

#endif
