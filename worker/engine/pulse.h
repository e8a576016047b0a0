/* pulse.h - the page that an engine and its parent share, so that slow can be told from stuck.
 *
 * The engine counts its work there (base/progress.h) and says how long its turn may be expected to
 * take; the parent looks whenever it likes. Nothing has to be sent, so an engine is heard in the
 * middle of an op, and one that is stopped, spins or waits for ever is not. The parent makes the
 * page and gives its descriptor to the new process. What an engine writes there is only ever
 * compared and bounded.
 */
#ifndef DARKROOM_WORKER_ENGINE_PULSE_H
#define DARKROOM_WORKER_ENGINE_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

struct pulse {
  _Atomic uint64_t count;       /* pieces of work done, in any unit */
  _Atomic uint64_t expected_us; /* the turn that runs, as measured so far; 0: not known, or idle */
};

/* The parent's side: a page of zeroes and a descriptor of it that a new process may inherit (closed
 * on exec until the flag is taken off). UNAVAILABLE when there is none to be had. */
enum status pulse_open(struct pulse **out, int *descriptor);
/* The engine's side; takes the descriptor over. UNAVAILABLE when it is not such a page. */
enum status pulse_attach(int descriptor, struct pulse **out);
/* Either side. Safe on NULL. */
void pulse_close(struct pulse **pulse);

/* pulse NULL: nobody watches. */
void pulse_expect(struct pulse *pulse, uint64_t microseconds);

#endif
