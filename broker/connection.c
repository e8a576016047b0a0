/* connection.c - hiredis in its non-blocking form, driven by our own poll so that every wait has an
 * end. */
#include "broker/connection.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REDIS_PORT = 6379, DATABASES_MAX = 65535, OUT_BYTES_MAX = 64 * 1024 * 1024 };

/* Reasons never quote the URL: it may hold a password. */
static enum status copy_part(char *to, size_t size, const char *from, size_t length,
                             const char *what) {
  if (length >= size) {
    return fail_field(BAD_INPUT, "redis", "%s in the Redis URL is longer than %zu bytes", what,
                      size - 1);
  }
  memcpy(to, from, length);
  to[length] = '\0';
  return OK;
}

static enum status parse_number(const char *text, long max, const char *what, int *out) {
  char *end = NULL;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno != 0 || value < 0 || value > max) {
    return fail_field(BAD_INPUT, "redis", "%s in the Redis URL is not a number of 0..%ld", what,
                      max);
  }
  *out = (int)value;
  return OK;
}

static enum status parse_unix(const char *rest, struct redis_url *out) {
  const char *query = strchr(rest, '?');
  TRY(copy_part(out->path, sizeof out->path, rest,
                query != NULL ? (size_t)(query - rest) : strlen(rest), "the path"));
  if (out->path[0] != '/') {
    return fail_field(BAD_INPUT, "redis",
                      "the Redis URL needs an absolute path: unix:///path/to.sock");
  }
  if (query == NULL) {
    return OK;
  }
  if (strncmp(query, "?db=", 4) != 0) {
    return fail_field(BAD_INPUT, "redis", "the Redis URL may only say ?db=N after the path");
  }
  return parse_number(query + 4, DATABASES_MAX, "the database", &out->database);
}

/* [user]:password before the '@'; a lone word is the password, as redis-cli takes it. */
static enum status parse_login(const char *from, size_t length, struct redis_url *out) {
  const char *colon = memchr(from, ':', length);
  if (colon == NULL) {
    return copy_part(out->password, sizeof out->password, from, length, "the password");
  }
  TRY(copy_part(out->user, sizeof out->user, from, (size_t)(colon - from), "the user"));
  return copy_part(out->password, sizeof out->password, colon + 1,
                   length - (size_t)(colon + 1 - from), "the password");
}

/* The last '@' ends the login, so that a password may hold one. */
static enum status parse_tcp(const char *rest, struct redis_url *out) {
  const char *at = strrchr(rest, '@');
  if (at != NULL) {
    TRY(parse_login(rest, (size_t)(at - rest), out));
    rest = at + 1;
  }
  const char *slash = strchr(rest, '/');
  if (slash != NULL && slash[1] != '\0') {
    TRY(parse_number(slash + 1, DATABASES_MAX, "the database", &out->database));
  }
  char place[320] = "";
  TRY(copy_part(place, sizeof place, rest, slash != NULL ? (size_t)(slash - rest) : strlen(rest),
                "the host"));
  char *host = place, *port = strrchr(place, ':');
  char *bracket = place[0] == '[' ? strchr(place, ']') : NULL;
  if (bracket != NULL) { /* [::1]:6379 */
    *bracket = '\0';
    host = place + 1;
    port = bracket[1] == ':' ? bracket + 1 : NULL;
  }
  out->port = REDIS_PORT;
  if (port != NULL) {
    *port = '\0';
    TRY(parse_number(port + 1, 65535, "the port", &out->port));
  }
  return copy_part(out->host, sizeof out->host, host[0] != '\0' ? host : "127.0.0.1",
                   host[0] != '\0' ? strlen(host) : strlen("127.0.0.1"), "the host");
}

enum status redis_url_parse(const char *text, struct redis_url *out) {
  memset(out, 0, sizeof *out);
  if (strncmp(text, "unix://", 7) == 0) {
    return parse_unix(text + 7, out);
  }
  if (strncmp(text, "redis://", 8) == 0) {
    return parse_tcp(text + 8, out);
  }
  return fail_field(BAD_INPUT, "redis",
                    "the Redis URL must begin with unix:// or redis:// (there is no TLS)");
}

/* Ahead of all else, without waiting for the answers: the caller counts them off as they come. */
static enum status append_login(struct connection *connection, const struct redis_url *url,
                                size_t *replies) {
  *replies = 0;
  if (url->password[0] != '\0') {
    const char *with_user[] = {"AUTH", url->user, url->password};
    const char *without[] = {"AUTH", url->password};
    TRY(url->user[0] != '\0' ? connection_command(connection, with_user, 3)
                             : connection_command(connection, without, 2));
    *replies += 1;
  }
  if (url->database != 0) {
    char number[16];
    snprintf(number, sizeof number, "%d", url->database);
    TRY(connection_command(connection, (const char *const[]){"SELECT", number}, 2));
    *replies += 1;
  }
  return OK;
}

enum status connection_open(struct connection *connection, const struct redis_url *url,
                            size_t *replies) {
  connection_close(connection);
  redisContext *context = url->path[0] != '\0' ? redisConnectUnixNonBlock(url->path)
                                               : redisConnectNonBlock(url->host, url->port);
  if (context == NULL) {
    return fail(EXHAUSTED, "no memory for a Redis connection");
  }
  if (context->err != 0) {
    enum status status = fail(UNAVAILABLE, "cannot connect to Redis: %s", context->errstr);
    redisFree(context);
    return status;
  }
  connection->context = context;
  return append_login(connection, url, replies);
}

void connection_close(struct connection *connection) {
  if (connection->context != NULL) {
    redisFree(connection->context);
    connection->context = NULL;
  }
}

enum status connection_append(struct connection *connection, const void *data, size_t bytes) {
  if (connection->context == NULL) {
    return fail(UNAVAILABLE, "not connected to Redis");
  }
  if (bytes > OUT_BYTES_MAX ||
      redisAppendFormattedCommand(connection->context, data, bytes) != REDIS_OK) {
    return fail(EXHAUSTED, "no memory for a Redis command of %zu bytes", bytes);
  }
  connection->writing = true;
  return OK;
}

enum status connection_command(struct connection *connection, const char *const *arguments,
                               size_t count) {
  const char *copy[8];
  char *command = NULL;
  for (size_t i = 0; i < count && i < 8; i++) {
    copy[i] = arguments[i];
  }
  int bytes = redisFormatCommandArgv(&command, (int)count, copy, NULL);
  if (bytes < 0) {
    return fail(EXHAUSTED, "no memory for a Redis command");
  }
  enum status status = connection_append(connection, command, (size_t)bytes);
  redisFreeCommand(command);
  return status;
}

bool connection_wants_write(const struct connection *connection) {
  return connection->context != NULL && connection->writing;
}

/* Whoever wrote into it must take everything unanswered as unknown. */
static enum status lost(struct connection *connection) {
  const char *why = connection->context->errstr;
  enum status status = fail(UNAVAILABLE, "the connection to Redis is lost: %s", why);
  connection_close(connection);
  return status;
}

enum status connection_exchange(struct connection *connection, int64_t wait_ms) {
  if (connection->context == NULL) {
    return fail(UNAVAILABLE, "not connected to Redis");
  }
  struct pollfd item = {.fd = connection->context->fd, .events = POLLIN};
  if (connection_wants_write(connection)) {
    item.events |= POLLOUT;
  }
  int ready = poll(&item, 1, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
  if (ready <= 0) {
    return OK; /* nothing yet, or a signal: the caller looks at its deadline */
  }
  if ((item.revents & POLLOUT) != 0) {
    int done = 0;
    if (redisBufferWrite(connection->context, &done) != REDIS_OK) {
      return lost(connection);
    }
    connection->writing = done == 0;
  }
  if ((item.revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
      redisBufferRead(connection->context) != REDIS_OK) {
    return lost(connection);
  }
  return OK;
}

enum status connection_reply(struct connection *connection, redisReply **out) {
  if (connection->context == NULL) {
    return fail(UNAVAILABLE, "not connected to Redis");
  }
  void *reply = NULL;
  if (redisReaderGetReply(connection->context->reader, &reply) != REDIS_OK) {
    enum status status =
        fail(UNAVAILABLE, "Redis answers nonsense: %s", connection->context->reader->errstr);
    connection_close(connection);
    return status;
  }
  *out = reply;
  return OK;
}

int connection_fd(const struct connection *connection) {
  return connection->context != NULL ? connection->context->fd : -1;
}
