/* redis_url.h - where a Redis is and who asks, read as redis-py and redis-cli read it:
 *   redis://[[user]:password@][host][:port][/db][?db=N&username=U&password=P]
 *   unix://[[user]:password@]/path/to.sock[?db=N&username=U&password=P]
 *
 * Every part may be percent-encoded. A lone word before the '@' is the password (redis-cli takes
 * it so; redis-py for the user). An IPv6 address stands in brackets. What the part before the '?'
 * says wins over what follows it, but for the database.
 */
#ifndef DARKROOM_BROKER_REDIS_URL_H
#define DARKROOM_BROKER_REDIS_URL_H

#include "base/limits.h"
#include "base/status.h"

struct redis_url {
  char path[REDIS_SOCKET_BYTES_MAX]; /* of the socket; "" for TCP */
  char host[REDIS_HOST_BYTES_MAX];   /* a name or an address; "127.0.0.1" when left out */
  int port;
  char user[REDIS_USER_BYTES_MAX];
  char password[REDIS_PASSWORD_BYTES_MAX];
  int database;
};

/* BAD_INPUT with the field "redis" for everything that is not understood; the reason never quotes
 * the URL, which may hold a password. *out is written only on OK. */
enum status redis_url_parse(const char *text, struct redis_url *out);

#endif
