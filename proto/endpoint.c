/* endpoint.c - what libzmq would refuse with a number is refused here with a reason, before
 * anything waits for a broker that cannot be. */
#include "proto/endpoint.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/address.h"

#define TCP "tcp://"
#define IPC "ipc://"

_Static_assert(ENDPOINT_PATH_BYTES_MAX == sizeof((struct sockaddr_un *)0)->sun_path - 1,
               "the path of a unix socket and its NUL");

static enum status refuse_endpoint(const char *setting, const char *text, const char *why) {
  return fail_field(BAD_INPUT, setting, "--%s %.200s: %s", setting, text, why);
}

static enum status read_ipc(const char *setting, const char *text,
                            char endpoint[ENDPOINT_BYTES_MAX]) {
  size_t bytes = strlen(text) - strlen(IPC);
  if (bytes == 0 || bytes > ENDPOINT_PATH_BYTES_MAX) {
    return refuse_endpoint(setting, text, "a socket's path is of 1..107 bytes");
  }
  snprintf(endpoint, ENDPOINT_BYTES_MAX, "%s", text);
  return OK;
}

/* Digits for 1..65535. */
static bool is_port(const char *port) {
  size_t digits = strspn(port, "0123456789");
  unsigned long number = strtoul(port, NULL, 10);
  return digits > 0 && digits <= 5 && port[digits] == '\0' && number >= 1 && number <= UINT16_MAX;
}

static enum status read_tcp(const char *setting, const char *text,
                            char endpoint[ENDPOINT_BYTES_MAX]) {
  const char *host = text + strlen(TCP);
  const char *colon = strrchr(host, ':');
  if (colon == NULL || colon == host || !is_port(colon + 1)) {
    return refuse_endpoint(setting, text, "must be tcp://HOST:PORT, the port within 1..65535");
  }
  char name[ENDPOINT_BYTES_MAX];
  snprintf(name, sizeof name, "%.*s", (int)(colon - host), host);
  if (strchr(name, ':') != NULL && (name[0] != '[' || name[strlen(name) - 1] != ']')) {
    return refuse_endpoint(setting, text, "an IPv6 address stands in brackets: tcp://[::1]:7700");
  }
  const char *known = address_host(name);
  const char *shape = strchr(known, ':') != NULL && known[0] != '[' ? TCP "[%s]%s" : TCP "%s%s";
  snprintf(endpoint, ENDPOINT_BYTES_MAX, shape, known, colon);
  return OK;
}

enum status endpoint_read(const char *setting, const char *text,
                          char endpoint[ENDPOINT_BYTES_MAX]) {
  if (strlen(text) > ENDPOINT_TEXT_BYTES_MAX) {
    return refuse_endpoint(setting, text, "longer than 500 bytes");
  }
  if (strncmp(text, IPC, strlen(IPC)) == 0) {
    return read_ipc(setting, text, endpoint);
  }
  if (strncmp(text, TCP, strlen(TCP)) == 0) {
    return read_tcp(setting, text, endpoint);
  }
  return refuse_endpoint(setting, text, "must be tcp://HOST:PORT or ipc://PATH");
}
