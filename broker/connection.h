/* connection.h - one connection to Redis that never blocks: bytes out, replies in. Knows no script.
 *
 * There is no TLS here (hiredis 0.14 has none): use a unix socket, loopback, a closed network, or a
 * TLS sidecar.
 */
#ifndef DARKROOM_BROKER_CONNECTION_H
#define DARKROOM_BROKER_CONNECTION_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/redis_url.h"
#include "broker/resolver.h"

/* Start with {0}. All calls on a closed connection fail with UNAVAILABLE. */
struct connection {
  redisContext *context; /* NULL: closed */
  bool writing;          /* there are bytes that the socket has not taken yet */
};

/* The address of a Unix socket; BAD_INPUT: the path is longer than such an address can be. */
enum status connection_socket_address(const char *path, struct address *out);
/* "10.0.0.1:6379", or the path of a socket. */
void connection_address_text(const struct address *address, char *text, size_t bytes);

/* Begins to connect, without waiting for it, and puts AUTH and SELECT in front, as the URL needs;
 * *replies is how many replies those will have. Whether anybody is there shows at the first
 * exchange, or never: the caller has a deadline. */
enum status connection_open(struct connection *connection, const struct address *address,
                            const struct redis_url *url, size_t *replies);
void connection_close(struct connection *connection);

/* Queues bytes that are already in Redis's form, or one command of text arguments. */
enum status connection_append(struct connection *connection, const void *data, size_t bytes);
enum status connection_command(struct connection *connection, const char *const *arguments,
                               size_t count);

/* Writes what can be written and reads what is there, waiting for either at most wait_ms.
 * UNAVAILABLE: it is lost. */
enum status connection_exchange(struct connection *connection, int64_t wait_ms);

/* The next whole reply in *out, or NULL when there is none yet; the caller frees it. UNAVAILABLE:
 * it makes no sense. */
enum status connection_reply(struct connection *connection, redisReply **out);

/* For poll(): -1 when closed. */
int connection_fd(const struct connection *connection);
bool connection_wants_write(const struct connection *connection);

#endif
