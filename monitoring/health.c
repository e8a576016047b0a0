/* health.c - libmicrohttpd with one internal thread; four pages in a table.
 *
 * libmicrohttpd aborts (its panic) where a lock, a thread or a descriptor of its own fails: faults
 * of the program or the system, none of which a connection can cause. What connections can use up,
 * descriptors and memory, is bounded by HEALTH_CONNECTIONS_MAX and its pool for each. */
#include "monitoring/health.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "monitoring/metrics.h"

#define CONNECTION_TIMEOUT_S 10u
#define HOST_BYTES_MAX 256

/* A connection, on the admin thread alone. */
struct guest {
  int fd;         /* -1: a free place */
  uint64_t used;  /* when it came or asked last, counted in comings and askings */
  bool shown_out; /* shut down by us; the library closes it in its next round */
};

struct health {
  struct arena *arena; /* holds this */
  struct health_options options;
  struct MHD_Daemon *daemon;
  int port;
  uint64_t clock;
  struct guest guests[HEALTH_CONNECTIONS_MAX];
};

struct page {
  const char *path;
  const char *content_type;
  /* Appends the body and gives the HTTP status. */
  unsigned (*render)(const struct health *health, struct bytes *body);
};

static unsigned render_metrics(const struct health *health, struct bytes *body) {
  (void)health;
  return metrics_text(body) == OK ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static unsigned render_alive(const struct health *health, struct bytes *body) {
  (void)health;
  return bytes_append_text(body, "ok\n") == OK ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static unsigned render_ready(const struct health *health, struct bytes *body) {
  char reason[HEALTH_REASON_BYTES_MAX] = "";
  bool ready = health->options.ready == NULL ||
               health->options.ready(health->options.context, reason, sizeof reason);
  const char *state = ready ? "ready" : "not ready";
  enum status status = reason[0] != '\0' ? bytes_printf(body, "%s: %s\n", state, reason)
                                         : bytes_printf(body, "%s\n", state);
  return ready && status == OK ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned render_version(const struct health *health, struct bytes *body) {
  enum status status = bytes_printf(body, "%s\n", health->options.version);
  return status == OK ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

#define PLAIN "text/plain; charset=utf-8"

static const struct page pages[] = {
    {"/metrics", METRICS_CONTENT_TYPE, render_metrics},
    {"/healthz", PLAIN, render_alive},
    {"/readyz", PLAIN, render_ready},
    {"/version", PLAIN, render_version},
};

static const struct page *page_find(const char *path) {
  for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
    if (strcmp(pages[i].path, path) == 0) {
      return &pages[i];
    }
  }
  return NULL;
}

static enum MHD_Result send_body(struct MHD_Connection *connection, unsigned code,
                                 const char *content_type, const struct bytes *body) {
  struct MHD_Response *response = MHD_create_response_from_buffer(
      body->length, (void *)bytes_text(body), MHD_RESPMEM_MUST_COPY);
  if (response == NULL) {
    return MHD_NO;
  }
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
  if (code == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  enum MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

/* ---- who stays ---- */

static size_t guests_staying(const struct health *health) {
  size_t count = 0;
  for (size_t i = 0; i < HEALTH_CONNECTIONS_MAX; i++) {
    count += health->guests[i].fd >= 0 && !health->guests[i].shown_out;
  }
  return count;
}

/* Whoever has asked for nothing for the longest time makes room for who has just come: a probe gets
 * through however many connections are held open and say nothing. The library sees the end of the
 * connection and closes it. */
static void show_one_out(struct health *health) {
  struct guest *idlest = NULL;
  for (size_t i = 0; i < HEALTH_CONNECTIONS_MAX; i++) {
    struct guest *guest = &health->guests[i];
    bool stays = guest->fd >= 0 && !guest->shown_out;
    if (stays && (idlest == NULL || guest->used < idlest->used)) {
      idlest = guest;
    }
  }
  if (idlest != NULL) {
    idlest->shown_out = true;
    shutdown(idlest->fd, SHUT_RDWR);
  }
}

static void guest_came(struct health *health, struct MHD_Connection *connection, void **context) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (guests_staying(health) >= HEALTH_CONNECTIONS_KEPT) {
    show_one_out(health);
  }
  for (size_t i = 0; info != NULL && i < HEALTH_CONNECTIONS_MAX; i++) {
    if (health->guests[i].fd < 0) {
      health->guests[i] = (struct guest){.fd = info->connect_fd, .used = ++health->clock};
      *context = &health->guests[i];
      return;
    }
  }
}

static void on_connection(void *context, struct MHD_Connection *connection, void **guest,
                          enum MHD_ConnectionNotificationCode what) {
  struct health *health = context;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    guest_came(health, connection, guest);
  } else if (*guest != NULL) {
    *(struct guest *)*guest = (struct guest){.fd = -1};
    *guest = NULL;
  }
}

static void guest_asked(struct health *health, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  struct guest *guest = info != NULL ? info->socket_context : NULL;
  if (guest != NULL) {
    guest->used = ++health->clock;
  }
}

/* ---- pages ---- */

/* Called once with the headers and again for each piece of an upload, which is read and dropped. */
static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_bytes, void **seen) {
  (void)version;
  (void)upload;
  static int again;
  if (*seen == NULL) {
    *seen = &again;
    guest_asked(context, connection);
    return MHD_YES;
  }
  if (*upload_bytes > 0) {
    *upload_bytes = 0;
    return MHD_YES;
  }
  const struct page *page = page_find(path);
  bool reading =
      strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
  struct bytes body;
  bytes_open(&body, METRICS_TEXT_BYTES_MAX);
  unsigned code = MHD_HTTP_NOT_FOUND;
  if (page != NULL && !reading) {
    code = MHD_HTTP_METHOD_NOT_ALLOWED;
  } else if (page != NULL) {
    code = page->render(context, &body);
  }
  enum MHD_Result result =
      send_body(connection, code, page != NULL ? page->content_type : PLAIN, &body);
  bytes_close(&body);
  return result;
}

/* ---- where it listens ---- */

/* "HOST:PORT", "[HOST]:PORT" or ":PORT"; an empty host means all addresses. */
static enum status address_split(const char *address, char *host, const char **port) {
  const char *colon = strrchr(address, ':');
  if (colon == NULL || colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
    return fail(BAD_INPUT, "admin address \"%s\": must be HOST:PORT", address);
  }
  const char *start = address;
  size_t bytes = (size_t)(colon - address);
  if (bytes >= 2 && start[0] == '[' && start[bytes - 1] == ']') {
    start++;
    bytes -= 2;
  }
  if (bytes >= HOST_BYTES_MAX || strtoul(colon + 1, NULL, 10) > UINT16_MAX) {
    return fail(BAD_INPUT, "admin address \"%s\": host too long or port over 65535", address);
  }
  snprintf(host, HOST_BYTES_MAX, "%.*s", (int)bytes, start);
  *port = colon + 1;
  return OK;
}

static int listen_on(const struct addrinfo *found) {
  int one = 1;
  int zero = 0;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return -1;
  }
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (found->ai_family == AF_INET6) { /* [::] is all addresses, those of IPv4 too */
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  }
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 ||
      listen(fd, HEALTH_CONNECTIONS_KEPT) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

/* At the first address of the family (AF_UNSPEC: of any) that can be had; *fd is -1 for none. */
static enum status listen_family(const char *address, int family, int *fd) {
  char host[HOST_BYTES_MAX] = "";
  const char *port = NULL;
  TRY(address_split(address, host, &port));
  struct addrinfo hints = {
      .ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
  struct addrinfo *found = NULL;
  int failed = getaddrinfo(host[0] != '\0' ? address_host(host) : NULL, port, &hints, &found);
  if (failed != 0) {
    return fail(BAD_INPUT, "admin address \"%s\": no such host (%s)", address,
                gai_strerror(failed));
  }
  *fd = -1;
  for (const struct addrinfo *at = found; at != NULL && *fd < 0; at = at->ai_next) {
    *fd = listen_on(at);
  }
  freeaddrinfo(found);
  return OK;
}

/* All addresses are those of IPv6 and IPv4, on one socket where the machine has both: the kubelet
 * of an IPv6 cluster asks there. */
static enum status listen_at(const char *address, int *fd) {
  bool all = address[0] == ':';
  enum status status = listen_family(address, all ? AF_INET6 : AF_UNSPEC, fd);
  if (all && (status != OK || (*fd < 0 && errno != EADDRINUSE))) {
    status = listen_family(address, AF_INET, fd);
  }
  TRY(status);
  if (*fd < 0 && errno == EADDRINUSE) {
    return fail(UNAVAILABLE,
                "admin address \"%s\" is in use by another program; where programs share their "
                "settings, DARKROOM_BROKER_ADMIN and DARKROOM_WORKER_ADMIN tell them apart",
                address);
  }
  return *fd >= 0 ? OK : fail(UNAVAILABLE, "admin address \"%s\": cannot listen: %m", address);
}

static int port_of(int fd) {
  struct sockaddr_storage bound;
  socklen_t bytes = sizeof bound;
  char port[8] = "0";
  if (getsockname(fd, (struct sockaddr *)&bound, &bytes) == 0) {
    getnameinfo((struct sockaddr *)&bound, bytes, NULL, 0, port, sizeof port, NI_NUMERICSERV);
  }
  return (int)strtoul(port, NULL, 10);
}

static enum status health_make(struct health **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, 2 * sizeof **out, &arena));
  struct health *health = arena_take_zeroed(arena, sizeof *health);
  if (health == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  health->arena = arena;
  for (size_t i = 0; i < HEALTH_CONNECTIONS_MAX; i++) {
    health->guests[i].fd = -1;
  }
  *out = health;
  return OK;
}

/* The daemon closes the socket when it stops; one that did not start has not taken it. AUTO: poll
 * or epoll, since select knows no descriptor beyond 1023, and a broker with many clients has
 * those. */
static enum status serve_at(struct health *health) {
  int fd = -1;
  TRY(listen_at(health->options.address, &fd));
  health->port = port_of(fd);
  health->daemon = MHD_start_daemon(
      MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, serve, health, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)HEALTH_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
      CONNECTION_TIMEOUT_S, MHD_OPTION_NOTIFY_CONNECTION, on_connection, health, MHD_OPTION_END);
  if (health->daemon == NULL) {
    close(fd);
    return fail(UNAVAILABLE, "admin address \"%s\": the server does not start",
                health->options.address);
  }
  return OK;
}

enum status health_open(const struct health_options *options, struct health **out) {
  struct health *health = NULL;
  TRY(health_make(&health));
  health->options = *options;
  enum status status = serve_at(health);
  if (status != OK) {
    struct arena *arena = health->arena; /* close writes through its argument, which it frees */
    arena_close(&arena);
    return status;
  }
  *out = health;
  return OK;
}

void health_close(struct health **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct arena *arena = (*pointer)->arena;
  MHD_stop_daemon((*pointer)->daemon);
  arena_close(&arena);
  *pointer = NULL;
}

int health_port(const struct health *health) { return health->port; }
