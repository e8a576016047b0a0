/* connection.h - one connection to Redis that never blocks: its URL, bytes out, replies in. Knows
 * no script.
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

/* unix:///path/to.sock[?db=N] or redis://[[user]:password@]host[:port][/db]. */
struct redis_url {
  char path[108]; /* of the socket; "" for TCP */
  char host[256];
  int port;
  char user[128];
  char password[512];
  int database;
};
enum status redis_url_parse(const char *text, struct redis_url *out);

/* Start with {0}. All calls on a closed connection fail with UNAVAILABLE. */
struct connection {
  redisContext *context; /* NULL: closed */
  bool writing;          /* there are bytes that the socket has not taken yet */
};

/* Begins to connect and puts AUTH and SELECT in front, as the URL needs; *replies is how many
 * replies those will have. */
enum status connection_open(struct connection *connection, const struct redis_url *url,
                            size_t *replies);
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
