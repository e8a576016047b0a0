/* endpoint.h - where a broker is, as people write it and as libzmq takes it. */
#ifndef DARKROOM_PROTO_ENDPOINT_H
#define DARKROOM_PROTO_ENDPOINT_H

#include "base/status.h"

#define ENDPOINT_TEXT_BYTES_MAX 500 /* as written */
#define ENDPOINT_BYTES_MAX 512      /* as libzmq is given it, with its NUL */
#define ENDPOINT_PATH_BYTES_MAX 107 /* of an ipc path: what the system has room for, less a NUL */

/* Checks "tcp://HOST:PORT" (HOST also [IPV6]) or "ipc://PATH" and writes what libzmq is to be
 * given: the same, with localhost as the loopback address that it is. BAD_INPUT names the setting
 * and its limit; endpoint is then not written. */
enum status endpoint_read(const char *setting, const char *text, char endpoint[ENDPOINT_BYTES_MAX]);

#endif
