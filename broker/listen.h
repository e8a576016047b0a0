/* listen.h - where a broker takes connections: looked at first, then bound. */
#ifndef DARKROOM_BROKER_LISTEN_H
#define DARKROOM_BROKER_LISTEN_H

#include <stdbool.h>

#include "base/status.h"
#include "broker/locks.h"

/* endpoints are separated by commas. BAD_INPUT names one that is no endpoint, or that other hosts
 * can reach unless it is locked or may be plain: whoever reaches a socket that is neither may do
 * everything. */
enum status listen_check(const char *endpoints, bool locked, bool allow_plaintext);

/* Binds the socket to all of them, those at tcp:// locked, and logs each as it was bound.
 * UNAVAILABLE: another program listens there; BAD_INPUT: nobody can. */
enum status listen_all(void *socket, const char *endpoints, const struct locks *locks);

#endif
