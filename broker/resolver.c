/* resolver.c - getaddrinfo in a detached thread. The question belongs to the loop and to the
 * thread, and the last of the two frees it: so neither waits for the other, not even at the end. */
#include "broker/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/background.h"

struct question {
  atomic_int owners;
  atomic_bool answered; /* what follows is written before, by the thread alone */
  int wake_fd;          /* an eventfd that outlives neither owner */
  char host[REDIS_HOST_BYTES_MAX];
  char port[8];
  int error; /* of getaddrinfo */
  struct addresses found;
};

static void let_go(struct question *question) {
  if (atomic_fetch_sub(&question->owners, 1) == 1) {
    close(question->wake_fd);
    free(question);
  }
}

static void keep(struct question *question, const struct addrinfo *list) {
  for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
    if (question->found.count < REDIS_ADDRESSES_MAX &&
        at->ai_addrlen <= sizeof question->found.address[0].socket) {
      struct address *address = &question->found.address[question->found.count++];
      memcpy(&address->socket, at->ai_addr, at->ai_addrlen);
      address->bytes = at->ai_addrlen;
    }
  }
}

static int look_up(struct question *question, const char *host, int flags) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
  struct addrinfo *list = NULL;
  int error = getaddrinfo(host, question->port, &hints, &list);
  if (error == 0) {
    keep(question, list);
    freeaddrinfo(list);
  }
  return error;
}

/* localhost is this host by RFC 6761, also where no hosts file says so. */
static void look_up_name(struct question *question) {
  question->error = look_up(question, question->host, 0);
  if (question->error != 0 && strcasecmp(question->host, "localhost") == 0) {
    question->error = look_up(question, "127.0.0.1", AI_NUMERICHOST);
    (void)look_up(question, "::1", AI_NUMERICHOST);
  }
}

static void *answer(void *argument) {
  struct question *question = argument;
  uint64_t one = 1;
  look_up_name(question);
  atomic_store(&question->answered, true);
  (void)!write(question->wake_fd, &one, sizeof one);
  let_go(question);
  return NULL;
}

static struct question *make_question(const char *host, int port) {
  struct question *question = calloc(1, sizeof *question);
  if (question == NULL) {
    return NULL;
  }
  question->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (question->wake_fd < 0) {
    free(question);
    return NULL;
  }
  atomic_init(&question->owners, 1);
  snprintf(question->host, sizeof question->host, "%s", host);
  snprintf(question->port, sizeof question->port, "%d", port);
  return question;
}

/* A numeric address needs no name server and so no thread. */
enum status resolver_ask(struct resolver *resolver, const char *host, int port) {
  if (resolver->asked != NULL) {
    return OK;
  }
  struct question *question = make_question(host, port);
  if (question == NULL) {
    return fail(EXHAUSTED, "no memory or descriptor for resolving a name");
  }
  if (look_up(question, host, AI_NUMERICHOST) == 0) {
    uint64_t one = 1;
    atomic_store(&question->answered, true);
    (void)!write(question->wake_fd, &one, sizeof one);
    resolver->asked = question;
    return OK;
  }
  atomic_store(&question->owners, 2);
  enum status status = background_run(answer, question);
  if (status != OK) {
    atomic_store(&question->owners, 1);
    let_go(question);
    return status;
  }
  resolver->asked = question;
  return OK;
}

/* What the answer comes to; the addresses are read from it while it is still ours. */
static enum status judge(const struct question *question) {
  if (question->error != 0) {
    return fail(UNAVAILABLE, "cannot resolve the name %s: %s", question->host,
                gai_strerror(question->error));
  }
  return question->found.count > 0
             ? OK
             : fail(UNAVAILABLE, "the name %s has no address", question->host);
}

enum status resolver_take(struct resolver *resolver, bool *answered, struct addresses *out) {
  struct question *question = resolver->asked;
  *answered = question != NULL && atomic_load(&question->answered);
  if (!*answered) {
    return OK;
  }
  enum status status = judge(question);
  struct addresses found = question->found;
  resolver_close(resolver);
  TRY(status);
  *out = found;
  return OK;
}

int resolver_fd(const struct resolver *resolver) {
  return resolver->asked != NULL ? resolver->asked->wake_fd : -1;
}

void resolver_close(struct resolver *resolver) {
  if (resolver->asked != NULL) {
    let_go(resolver->asked);
    resolver->asked = NULL;
  }
}
