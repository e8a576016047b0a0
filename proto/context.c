/* context.c - zmq_ctx_term in a detached thread. The ending belongs to the caller and to the
 * thread, and the last of the two frees it. */
#include "proto/context.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "base/background.h"
#include "base/limits.h"

enum { CONTEXT_DESCRIPTORS = 16 };

struct ending {
  atomic_int owners;
  int ended_fd; /* readable when it has ended */
  void *context;
};

/* How many have not ended yet: each holds threads and descriptors. */
static atomic_int endings;

/* libzmq asserts when an epoll or an event descriptor of a new context cannot be had, so it is not
 * asked for one that it would not get. Taken and given back, since nobody can say how many there
 * are; twice as many as it needs, for what other threads open meanwhile. */
static bool descriptors_left(void) {
  int taken[CONTEXT_DESCRIPTORS];
  int count = 0;
  while (count < CONTEXT_DESCRIPTORS && (taken[count] = eventfd(0, EFD_CLOEXEC)) >= 0) {
    count++;
  }
  for (int i = 0; i < count; i++) {
    close(taken[i]);
  }
  return count == CONTEXT_DESCRIPTORS;
}

enum status context_open(void **out) {
  if (atomic_load(&endings) >= CONTEXTS_ENDING_MAX) {
    return fail(EXHAUSTED, "%d earlier connections still wait for a name server",
                CONTEXTS_ENDING_MAX);
  }
  if (!descriptors_left()) {
    return fail(EXHAUSTED, "too many files are open for a connection");
  }
  void *context = zmq_ctx_new();
  if (context == NULL) {
    return fail(EXHAUSTED, "no ZeroMQ context: %s", zmq_strerror(errno));
  }
  *out = context;
  return OK;
}

static void let_go(struct ending *ending) {
  if (atomic_fetch_sub(&ending->owners, 1) == 1) {
    close(ending->ended_fd);
    free(ending);
  }
}

static void end(void *context) {
  while (zmq_ctx_term(context) != 0 && errno == EINTR) {
  }
  atomic_fetch_sub(&endings, 1);
}

static void *end_in_thread(void *argument) {
  struct ending *ending = argument;
  uint64_t one = 1;
  end(ending->context);
  (void)!write(ending->ended_fd, &one, sizeof one);
  let_go(ending);
  return NULL;
}

static struct ending *make_ending(void *context) {
  struct ending *ending = calloc(1, sizeof *ending);
  int fd = ending != NULL ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
  if (fd < 0) {
    free(ending);
    return NULL;
  }
  atomic_init(&ending->owners, 2);
  ending->ended_fd = fd;
  ending->context = context;
  return ending;
}

/* Without memory or a thread it is ended here, which may take long but loses nothing. */
void context_close(void **context, int64_t wait_ms) {
  void *closing = *context;
  *context = NULL;
  if (closing == NULL) {
    return;
  }
  atomic_fetch_add(&endings, 1);
  struct ending *ending = make_ending(closing);
  if (ending == NULL || background_run(end_in_thread, ending) != OK) {
    if (ending != NULL) {
      close(ending->ended_fd);
      free(ending);
    }
    end(closing);
    return;
  }
  struct pollfd item = {.fd = ending->ended_fd, .events = POLLIN};
  (void)poll(&item, 1, (int)wait_ms);
  let_go(ending);
}
