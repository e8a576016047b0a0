/* connection.c - hiredis in its non-blocking form, driven by our own poll so that every wait has an
 * end.
 *
 * What could end the process in it: hiredis 0.14 aborts where malloc fails (its hi_malloc and kin),
 * and asserts nothing about what comes from the network. It allocates our pipeline, which is
 * bounded (OUT_BYTES_MAX), and the replies to it, whose rows the scripts bound. No peer of ours
 * reaches either bound: what a connection may ask is counted before it gets here (door.h). A socket
 * that is closed under a write is an error and no signal: every program of ours ignores SIGPIPE. */
#include "broker/connection.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OUT_BYTES_MAX = 64 * 1024 * 1024 };

_Static_assert(REDIS_SOCKET_BYTES_MAX == sizeof((struct sockaddr_un){0}.sun_path),
               "a path that the URL may have fits in a socket's address");

enum status connection_socket_address(const char *path, struct address *out) {
  struct sockaddr_un socket = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof socket.sun_path) {
    return fail(BAD_INPUT, "the path of the socket is longer than %zu bytes",
                sizeof socket.sun_path - 1);
  }
  snprintf(socket.sun_path, sizeof socket.sun_path, "%s", path);
  memset(out, 0, sizeof *out);
  memcpy(&out->socket, &socket, sizeof socket);
  out->bytes = sizeof socket;
  return OK;
}

void connection_address_text(const struct address *address, char *text, size_t bytes) {
  char host[64] = "?", port[8] = "?";
  if (address->socket.ss_family == AF_UNIX) {
    snprintf(text, bytes, "%s", ((const struct sockaddr_un *)&address->socket)->sun_path);
    return;
  }
  (void)getnameinfo((const struct sockaddr *)&address->socket, address->bytes, host, sizeof host,
                    port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  snprintf(text, bytes, address->socket.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* Ahead of all else, without waiting for the answers: the caller counts them off as they come. */
static enum status append_login(struct connection *connection, const struct redis_url *url,
                                size_t *replies) {
  *replies = 0;
  if (url->password[0] != '\0' || url->user[0] != '\0') { /* a user may have an empty password */
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

/* By ourselves, because hiredis would resolve a name, and wait for it. */
static int begin_connecting(const struct address *address) {
  int one = 1;
  int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  if (address->socket.ss_family != AF_UNIX) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  }
  if (connect(fd, (const struct sockaddr *)&address->socket, address->bytes) != 0 &&
      errno != EINPROGRESS) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

enum status connection_open(struct connection *connection, const struct address *address,
                            const struct redis_url *url, size_t *replies) {
  connection_close(connection);
  int fd = begin_connecting(address);
  if (fd < 0) {
    return fail(UNAVAILABLE, "cannot connect to Redis: %m");
  }
  redisContext *context = redisConnectFd(fd);
  if (context == NULL) {
    close(fd);
    return fail(EXHAUSTED, "no memory for a Redis connection");
  }
  context->flags &=
      ~REDIS_BLOCK; /* hiredis takes a descriptor that it is given for a blocking one */
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

/* A server that takes no more clients says so and closes: what we write then fails, and the reason
 * is still to be read. The next exchange, with nothing left to read, says that it is lost. */
static enum status hear_last_words(struct connection *connection) {
  redisContext *context = connection->context;
  char why[sizeof context->errstr];
  snprintf(why, sizeof why, "%s", context->errstr);
  context->err = 0;
  if (redisBufferRead(context) == REDIS_OK && context->reader->pos < context->reader->len) {
    return OK;
  }
  snprintf(context->errstr, sizeof context->errstr, "%s", why);
  return lost(connection);
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
      return hear_last_words(connection);
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
