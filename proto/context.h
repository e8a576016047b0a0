/* context.h - a ZeroMQ context for one connection, let go without waiting.
 *
 * libzmq resolves a name in the thread of the context that the connection lives in, and ending a
 * context waits for that thread. A name server that does not answer would so hold up every other
 * connection of the context, and the end of the program, for as long as the system's resolver is
 * patient: minutes. With a context for each connection it holds up nothing but itself.
 */
#ifndef DARKROOM_PROTO_CONTEXT_H
#define DARKROOM_PROTO_CONTEXT_H

#include <stdint.h>

#include "base/status.h"

#define CONTEXT_CLOSE_MS 1500 /* at the end of a program: more than a socket's linger (wire.c) */

/* EXHAUSTED: CONTEXTS_ENDING_MAX earlier ones have not ended yet, or there is no memory. */
enum status context_open(void **out);

/* Ends the context, whose sockets the caller has closed, in a thread, and nulls *context. Waits for
 * at most wait_ms, so that what the sockets' linger lets out gets out; 0: not at all. */
void context_close(void **context, int64_t wait_ms);

#endif
