/* listen.h - where a broker takes connections: looked at first, then bound. */
#ifndef DARKROOM_BROKER_LISTEN_H
#define DARKROOM_BROKER_LISTEN_H

#include <stdbool.h>

#include "base/status.h"

/* endpoints are separated by commas. BAD_INPUT names one that is no endpoint, or that other hosts
 * can reach unless allow_plaintext: until there are keys, whoever reaches the socket may do
 * everything. */
enum status listen_check(const char *endpoints, bool allow_plaintext);

/* Binds the socket to all of them and logs each as it was bound. UNAVAILABLE: another program
 * listens there; BAD_INPUT: nobody can. */
enum status listen_all(void *socket, const char *endpoints);

#endif
