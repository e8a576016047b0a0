/* address.c - loopback, whatever /etc/hosts says. */
#include "base/address.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether this machine has IPv4 on its loopback, learnt from the one who decides. */
static bool has_ipv4(void) {
  struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return bound;
}

const char *address_host(const char *host) {
  if (strcasecmp(host, "localhost") != 0 && strcasecmp(host, "localhost.") != 0) {
    return host;
  }
  return has_ipv4() ? "127.0.0.1" : "::1";
}
