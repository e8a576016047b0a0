/* endpoint.h - where a broker is, as people write it and as libzmq takes it. */
#ifndef DARKROOM_PROTO_ENDPOINT_H
#define DARKROOM_PROTO_ENDPOINT_H

#include <stddef.h>

#include "base/limits.h"
#include "base/settings.h"
#include "base/status.h"

/* The row of a peer's settings, whose structure has const char *broker. */
#define ENDPOINTS_SETTING(structure)                                                         \
  {                                                                                          \
    .name = "broker", .type = SETTING_TEXT, .field = offsetof(structure, broker),            \
    .standard = "tcp://127.0.0.1:7700", .min = 1, .max = ENDPOINTS_BYTES_MAX - 1,            \
    .help =                                                                                  \
        "brokers, up to 16, separated by commas: tcp://HOST:PORT or ipc://PATH; another is " \
        "taken when one is silent"                                                           \
  }

/* Checks "tcp://HOST:PORT" (HOST also [IPV6]) or "ipc://PATH" and writes what libzmq is to be
 * given: the same, with localhost as the loopback address that it is. BAD_INPUT names the setting
 * and its limit; endpoint is then not written. */
enum status endpoint_read(const char *setting, const char *text, char endpoint[ENDPOINT_BYTES_MAX]);

#endif
