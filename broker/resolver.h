/* resolver.h - a host's name to addresses, without waiting for the name server.
 *
 * The system's own resolver (hosts file, nsswitch, DNS, whatever this machine is set up with) runs
 * in a thread. There is one at most: a name server that is deaf holds that thread for as long as
 * the system's resolver is patient, and nobody else.
 */
#ifndef DARKROOM_BROKER_RESOLVER_H
#define DARKROOM_BROKER_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/status.h"

struct address {
  struct sockaddr_storage socket;
  socklen_t bytes;
};

/* In the order in which they should be tried. */
struct addresses {
  struct address address[REDIS_ADDRESSES_MAX];
  size_t count;
};

struct question;

/* Start with {0}. */
struct resolver {
  struct question *asked; /* shared with the thread; NULL: nothing is asked */
};

/* Begins. While an earlier question is still open that one goes on instead: a resolver serves one
 * name and port in its life. EXHAUSTED: no thread or memory. */
enum status resolver_ask(struct resolver *resolver, const char *host, int port);

/* OK with *answered false while there is no answer yet; after an answer the next ask is a new
 * question. UNAVAILABLE: no such name, or the name server failed. */
enum status resolver_take(struct resolver *resolver, bool *answered, struct addresses *out);

/* For poll(): readable when there is an answer; -1 when nothing is asked. */
int resolver_fd(const struct resolver *resolver);

/* Lets go at once; a thread that is still asking ends by itself. */
void resolver_close(struct resolver *resolver);

#endif
