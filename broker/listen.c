/* listen.c - what libzmq would do silently with an address is asked about first. */
#include "broker/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "base/address.h"
#include "base/text.h"
#include "monitoring/log.h"
#include "proto/endpoint.h"

#define TCP "tcp://"
#define IPC "ipc://"

struct list {
  char memory[ENDPOINTS_BYTES_MAX];
  const char *item[ENDPOINTS_MAX];
  size_t count;
};

static enum status split(const char *endpoints, struct list *list) {
  if (strlen(endpoints) >= sizeof list->memory) {
    return fail_field(BAD_INPUT, "listen", "--listen: longer than %zu bytes",
                      sizeof list->memory - 1);
  }
  snprintf(list->memory, sizeof list->memory, "%s", endpoints);
  return text_split("listen", list->memory, ENDPOINTS_MAX, list->item, &list->count);
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* ---- who could connect ---- */

static bool is_local(const char *endpoint) {
  static const char *const local[] = {IPC, TCP "127.", TCP "localhost:", TCP "[::1]:"};
  for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
    if (begins(endpoint, local[i])) {
      return true;
    }
  }
  return false;
}

enum status listen_check(const char *endpoints, bool locked, bool allow_plaintext) {
  struct list list;
  TRY(split(endpoints, &list));
  for (size_t i = 0; i < list.count; i++) {
    if (!is_local(list.item[i]) && !locked && !allow_plaintext) {
      return fail_field(BAD_INPUT, "listen",
                        "%s can be reached from other hosts, and nothing is locked: say --key FILE "
                        "and --keyring FILE, bind to 127.0.0.1 or ipc://, or let everybody in with "
                        "--allow-plaintext",
                        list.item[i]);
    }
  }
  return OK;
}

/* ---- binding ---- */

static bool answers(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool connected =
      probe >= 0 && (connect(probe, (struct sockaddr *)&address, sizeof address) == 0 ||
                     errno == EAGAIN); /* a backlog that is full is somebody's */
  if (probe >= 0) {
    close(probe);
  }
  return connected;
}

/* libzmq removes whatever stands at the path and binds anew. That is right for the socket of a
 * broker that was killed; a broker that lives would be cut off from all newcomers, and a file of
 * somebody's would be gone. */
static enum status path_is_free(const char *path) {
  struct stat found;
  if (path[0] == '@' || lstat(path, &found) != 0) { /* '@': no file, and a second bind fails */
    return OK;
  }
  if (!S_ISSOCK(found.st_mode)) {
    return fail_field(BAD_INPUT, "listen", "cannot listen on " IPC "%s: what is there is no socket",
                      path);
  }
  return answers(path) ? fail_field(UNAVAILABLE, "listen",
                                    "cannot listen on " IPC "%s: in use by another program", path)
                       : OK;
}

/* What libzmq is given: localhost without asking a resolver for it. */
static enum status prepare(const char *endpoint, char prepared[ENDPOINT_BYTES_MAX]) {
  static const char localhost[] = TCP "localhost:";
  if (begins(endpoint, IPC)) {
    TRY(endpoint_read("listen", endpoint, prepared));
    return path_is_free(endpoint + strlen(IPC));
  }
  if (strlen(endpoint) > ENDPOINT_TEXT_BYTES_MAX) {
    return fail_field(BAD_INPUT, "listen", "--listen: an endpoint of more than %d bytes",
                      ENDPOINT_TEXT_BYTES_MAX);
  }
  if (!begins(endpoint, localhost)) {
    snprintf(prepared, ENDPOINT_BYTES_MAX, "%s", endpoint);
    return OK;
  }
  const char *host = address_host("localhost");
  snprintf(prepared, ENDPOINT_BYTES_MAX, strchr(host, ':') != NULL ? TCP "[%s]:%s" : TCP "%s:%s",
           host, endpoint + strlen(localhost));
  return OK;
}

static enum status bind_one(void *socket, const char *endpoint, const char *keys) {
  char prepared[ENDPOINT_BYTES_MAX];
  TRY(prepare(endpoint, prepared));
  if (zmq_bind(socket, prepared) != 0) {
    return fail_field(errno == EADDRINUSE ? UNAVAILABLE : BAD_INPUT, "listen",
                      "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
  }
  char bound[ENDPOINT_BYTES_MAX] = "";
  size_t size = sizeof bound;
  zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
  log_event("listening", log_text("endpoint", bound), log_text("keys", keys));
  return OK;
}

/* libzmq takes a lock for the endpoints that are bound after it: first those that stay open. */
enum status listen_all(void *socket, const char *endpoints, const struct locks *locks) {
  struct list list;
  TRY(split(endpoints, &list));
  for (size_t i = 0; i < list.count; i++) {
    TRY(begins(list.item[i], IPC) ? bind_one(socket, list.item[i], "none") : OK);
  }
  TRY(locks_lock(locks, socket));
  for (size_t i = 0; i < list.count; i++) {
    bool done = begins(list.item[i], IPC);
    TRY(done ? OK : bind_one(socket, list.item[i], locks->key != NULL ? "needed" : "none"));
  }
  return OK;
}
