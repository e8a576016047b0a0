/* door.c - one ROUTER, its monitor, and who is served next. */
#include "broker/door.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "broker/callers.h"
#include "broker/listen.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/context.h"

enum { ACCEPT_AGAIN_MS = 5, SLOW_WAIT_MS = 10, OTHERS_MAX = 8, TURNED_AWAY_MS = 1000 };

struct door {
  void *context, *router, *monitor;
  int fd_max; /* a connection with a higher descriptor is one too many */
  struct callers callers;
  struct link ready;   /* a letter waits, and there is room for its answer */
  struct link slow;    /* a letter waits or news was missed, and there is no room */
  struct link drained; /* news was missed, and there is room again */
  struct link closed;
  struct note *given; /* the letter that was taken last */
};

#define CALLER_OF(place, list) \
  ((struct caller *)(void *)((char *)(place)-offsetof(struct caller, list)))

/* ---- what a letter may cost ------------------------------------------------------------------ */

/* Room kept for the answer, and whether the message is worth nothing when its sender has gone: what
 * only asks, and what only offers. An answer without a row is short. */
struct price {
  enum wire_verb verb;
  size_t bytes;
  bool dies;
};
enum { SHORT_BYTES = 2 * 1024, MIDDLE_BYTES = 16 * 1024 };
static const struct price prices[] = {
    {WIRE_GET, MIDDLE_BYTES, true},       {WIRE_EXPLAIN, MIDDLE_BYTES, true},
    {WIRE_WATCH, MIDDLE_BYTES, true},     {WIRE_BEAT, MIDDLE_BYTES, true},
    {WIRE_LIST, FRAME_BYTES_MAX, true},   {WIRE_MODELS, FRAME_BYTES_MAX, true},
    {WIRE_STATUS, FRAME_BYTES_MAX, true}, {WIRE_HELLO, SHORT_BYTES, true},
    {WIRE_CLAIM, SHORT_BYTES, true},
};
static const struct price short_answer = {0, SHORT_BYTES, false};

static const struct price *price_of(const struct note *note) {
  for (size_t i = 0; note->got == WIRE_MESSAGE && i < sizeof prices / sizeof prices[0]; i++) {
    if (prices[i].verb == note->verb) {
      return &prices[i];
    }
  }
  return &short_answer;
}

/* ---- one connection -------------------------------------------------------------------------- */

static size_t unread_max(struct door *door) {
  return atomic_load(&door->callers.unread) > UNREAD_BYTES_MAX / 2 ? FRAME_BYTES_MAX
                                                                   : CALLER_UNREAD_BYTES_MAX;
}

static bool has_room(struct door *door, const struct caller *caller, size_t bytes) {
  size_t held = caller_unread(caller) + caller->promised;
  return caller->gone || held == 0 || held + bytes <= unread_max(door);
}

/* Puts a connection where it belongs after anything about it has changed. */
static void settle(struct door *door, struct caller *caller) {
  bool asks = caller->first != NULL && has_room(door, caller, price_of(caller->first)->bytes);
  if (caller->missed && caller_unread(caller) < unread_max(door) / 2) {
    caller->missed = false;
    list_join(&door->drained, &caller->drained);
  }
  if (asks) {
    list_join(&door->ready, &caller->ready);
  }
  if (caller->missed || (caller->first != NULL && !asks)) {
    list_join(&door->slow, &caller->slow);
  } else {
    list_leave(&caller->slow);
  }
  if (caller->gone && caller->first == NULL) {
    list_leave(&caller->ready);
    list_join(&door->closed, &caller->closed);
  }
}

/* What it has said before it went and what changes something still counts: the last CANCEL of a
 * client, the BYE of a worker. It is closed when that is served. */
static void let_go(struct door *door, struct caller *caller) {
  struct note **link = &caller->first;
  while (*link != NULL) {
    struct note *note = *link;
    if (price_of(note)->dies) {
      *link = note->next;
      caller_forget(&door->callers, caller, note);
    } else {
      link = &note->next;
    }
  }
  caller->end = link;
  caller->gone = true;
  caller->missed = false;
  callers_forget(&door->callers, caller);
  list_leave(&caller->drained);
  settle(door, caller);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Stands in front of the C library's accept4() for all of this program, and so for libzmq, whose
 * listeners assert that it fails for no other reason than those they know (ipc_listener.cpp:325
 * does not know EMFILE), and which call it again at once. What a connection that cannot be taken
 * now amounts to is that none is there; the pause keeps the I/O thread from spinning meanwhile. */
int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags) {
  long accepted = syscall(SYS_accept4, fd, address, bytes, flags);
  if (accepted < 0 && errno != EINTR && errno != EAGAIN) {
    (void)poll(NULL, 0, ACCEPT_AGAIN_MS);
    errno = EAGAIN;
  }
  return (int)accepted;
}

/* Before it comes to that: descriptors are given lowest first, so a high one says that all below it
 * are in use. That connection is ended, and the rest stays for what the broker itself opens. */
static void not_too_many(struct door *door, int fd) {
  if (fd >= door->fd_max) {
    shutdown(fd, SHUT_RDWR);
    metric_add(M_TURNED_AWAY, 1);
    log_warning("connection_turned_away", log_text("reason", "too many connections"),
                log_number("most", door->fd_max));
  }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* The monitor is how the broker learns that a connection has begun or ended: ROUTER itself does not
 * say. Events are two frames: number (u16) and value (u32: the descriptor), then the endpoint. */
static void take_ends(struct door *door) {
  uint8_t event[6];
  while (zmq_recv(door->monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0) {
    char endpoint[8];
    uint16_t kind;
    int32_t fd;
    (void)zmq_recv(door->monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    memcpy(&kind, event, sizeof kind);
    memcpy(&fd, event + sizeof kind, sizeof fd);
    struct caller *caller =
        kind == ZMQ_EVENT_DISCONNECTED ? callers_by_fd(&door->callers, fd) : NULL;
    if (caller != NULL) {
      let_go(door, caller);
    } else if (kind == ZMQ_EVENT_ACCEPTED) {
      not_too_many(door, fd);
    }
  }
}

/* Whose message it is. A routing id or a descriptor that comes from another connection than before:
 * the earlier one has ended, and the monitor says so first, since its event was written before the
 * descriptor was free; or its routing id was taken over. */
static struct caller *caller_of(struct door *door, const struct wire_message *message) {
  struct caller *caller = callers_by_address(&door->callers, &message->from);
  if (caller != NULL && caller->fd == message->fd) {
    return caller;
  }
  take_ends(door);
  if ((caller = callers_by_address(&door->callers, &message->from)) != NULL) {
    let_go(door, caller);
  }
  if ((caller = callers_by_fd(&door->callers, message->fd)) != NULL) {
    let_go(door, caller);
  }
  return callers_add(&door->callers, &message->from, message->fd);
}

/* Above a bound: said at once, or not even that when the sender does not read. */
static void turn_away(struct door *door, struct caller *caller,
                      const struct wire_message *message) {
  struct refusal why = {0};
  char reason[sizeof why.message];
  snprintf(reason, sizeof reason, "%s", fail_reason());
  refuse(&why, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, NULL, NULL, "%s", reason);
  why.retry_after_ms = TURNED_AWAY_MS;
  log_warning("request_turned_away", log_text("reason", reason));
  metric_add(M_TURNED_AWAY, 1);
  if (caller == NULL) {
    (void)wire_send_refusal(door->router, &message->from, message->correlation, &why);
  } else if (has_room(door, caller, SHORT_BYTES)) {
    struct head head = {message->from.delimiter, WIRE_ERROR, message->correlation};
    Darkroom__V1__Error error = refusal_error(&why);
    (void)door_send(door, caller->id, &head, &error.base, DOOR_REFUSAL);
  }
}

static void look_after_the_slow(struct door *door) {
  for (struct link *at = door->slow.next, *next; at != &door->slow; at = next) {
    next = at->next;
    settle(door, CALLER_OF(at, slow));
  }
}

/* Everything that is there, whoever it is from: libzmq's queues are left empty. */
void door_gather(struct door *door) {
  struct wire_message message = {0};
  take_ends(door);
  while (wire_receive(door->router, &message) == OK && message.got != WIRE_NOTHING) {
    struct caller *caller = caller_of(door, &message);
    enum status status = caller != NULL ? caller_note(&door->callers, caller, &message)
                                        : fail(EXHAUSTED, "too many connections");
    if (status != OK) {
      turn_away(door, caller, &message);
    } else {
      settle(door, caller);
    }
  }
  wire_message_close(&message);
  look_after_the_slow(door);
  metric_set(M_CONNECTIONS, (double)door->callers.count);
  metric_set(M_UNREAD_BYTES, (double)atomic_load(&door->callers.unread));
}

/* ---- letters --------------------------------------------------------------------------------- */

static void write_letter(const struct caller *caller, const struct note *note, struct letter *out) {
  *out = (struct letter){.caller = caller->id,
                         .delimiter = note->delimiter,
                         .readable = note->got == WIRE_MESSAGE,
                         .verb = note->verb,
                         .correlation = note->correlation,
                         .payload = note->payload,
                         .payload_bytes = note->bytes,
                         .promised = price_of(note)->bytes};
  if (!out->readable) {
    memcpy(&out->why, note->payload, sizeof out->why);
  }
}

bool door_take(struct door *door, struct letter *out) {
  free(door->given);
  door->given = NULL;
  for (struct link *first; (first = list_take(&door->ready)) != NULL;) {
    struct caller *caller = CALLER_OF(first, ready);
    if (caller->first == NULL || !has_room(door, caller, price_of(caller->first)->bytes)) {
      settle(door, caller); /* its room went to something else: among the slow */
      continue;
    }
    door->given = caller_take(&door->callers, caller);
    write_letter(caller, door->given, out);
    caller->promised += out->promised;
    settle(door, caller);
    return true;
  }
  return false;
}

bool door_closed(struct door *door, uint64_t *out) {
  struct link *first = list_take(&door->closed);
  if (first != NULL) {
    struct caller *caller = CALLER_OF(first, closed);
    *out = caller->id;
    list_leave(&caller->slow);
    callers_drop(&door->callers, caller);
  }
  return first != NULL;
}

bool door_drained(struct door *door, uint64_t *out) {
  struct link *first = list_take(&door->drained);
  if (first != NULL) {
    *out = CALLER_OF(first, drained)->id;
  }
  return first != NULL;
}

void door_settle(struct door *door, uint64_t id, size_t promised) {
  struct caller *caller = callers_find(&door->callers, id);
  if (caller != NULL) {
    assert(caller->promised >= promised);
    caller->promised -= promised;
    settle(door, caller);
  }
}

/* ---- out ------------------------------------------------------------------------------------- */

static enum status say(struct door *door, struct caller *caller, const struct head *head,
                       const ProtobufCMessage *message, size_t bytes) {
  zmq_msg_t frame;
  struct wire_address to = caller->address;
  to.delimiter = head->delimiter;
  TRY(caller_pack(caller, message, bytes, &frame));
  return wire_send_frame(door->router, &to, head->verb, head->correlation, &frame);
}

enum door_sent door_send(struct door *door, uint64_t id, const struct head *head,
                         const ProtobufCMessage *message, enum door_kind kind) {
  struct caller *caller = callers_find(&door->callers, id);
  size_t bytes = protobuf_c_message_get_packed_size(message);
  if (bytes > FRAME_BYTES_MAX) {
    fail(BAD_INPUT, "%s of %zu bytes: a frame holds %d", wire_verb(head->verb)->name, bytes,
         FRAME_BYTES_MAX);
    return DOOR_TOO_LARGE;
  }
  if (caller == NULL) {
    return DOOR_GONE;
  }
  size_t held = caller_unread(caller) + (kind == DOOR_NEWS ? caller->promised : 0);
  bool fits = kind == DOOR_REFUSAL || held == 0 || held + bytes <= unread_max(door);
  enum status status = fits ? say(door, caller, head, message, bytes) : EXHAUSTED;
  if (status == OK) {
    return DOOR_SENT;
  }
  if (status == EXHAUSTED) {
    metric_add(M_SLOW_READERS, 1);
    caller->missed = caller->missed || kind == DOOR_NEWS;
    settle(door, caller);
    return DOOR_FULL;
  }
  let_go(door, caller); /* MANDATORY: nobody is there under its routing id */
  return DOOR_GONE;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool at_once(const struct door *door) {
  return list_holds(&door->ready) || list_holds(&door->closed) || list_holds(&door->drained);
}

void door_wait(struct door *door, const struct pollfd *others, size_t count, int64_t wait_ms) {
  zmq_pollitem_t items[2 + OTHERS_MAX] = {
      {.socket = door->router, .events = ZMQ_POLLIN},
      {.socket = door->monitor, .events = ZMQ_POLLIN},
  };
  assert(count <= OTHERS_MAX);
  for (size_t i = 0; i < count; i++) {
    short events = (others[i].events & POLLOUT) != 0 ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
    items[2 + i] = (zmq_pollitem_t){.fd = others[i].fd, .events = events};
  }
  if (list_holds(&door->slow) && wait_ms > SLOW_WAIT_MS) {
    wait_ms = SLOW_WAIT_MS; /* libzmq does not say that a peer has read */
  }
  (void)zmq_poll(items, (int)(2 + count), at_once(door) ? 0 : (long)wait_ms);
}

/* ---- open, close ----------------------------------------------------------------------------- */

/* The monitor is connected before bind, or the first peers could come and go unseen. Its queue has
 * no bound: libzmq's I/O thread would wait for room in it, and every connection with it. */
static enum status open_sockets(struct door *door) {
  int unbounded = 0;
  struct rlimit files = {.rlim_cur = 1024};
  (void)getrlimit(RLIMIT_NOFILE, &files);
  rlim_t most = files.rlim_cur - files.rlim_cur / 4;
  door->fd_max = most < CALLERS_MAX ? (int)most : CALLERS_MAX;
  TRY(context_open(&door->context));
  door->router = door->context != NULL ? zmq_socket(door->context, ZMQ_ROUTER) : NULL;
  door->monitor = door->router != NULL ? zmq_socket(door->context, ZMQ_PAIR) : NULL;
  if (door->monitor == NULL) {
    return fail(EXHAUSTED, "no ZeroMQ sockets: %s", zmq_strerror(errno));
  }
  TRY(wire_socket_options(door->router, WIRE_ROLE_BROKER));
  if (zmq_setsockopt(door->monitor, ZMQ_RCVHWM, &unbounded, sizeof unbounded) != 0 ||
      zmq_socket_monitor(door->router, "inproc://monitor",
                         ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0 ||
      zmq_connect(door->monitor, "inproc://monitor") != 0) {
    return fail(UNAVAILABLE, "cannot watch the socket: %s", zmq_strerror(errno));
  }
  return OK;
}

enum status door_open(const char *endpoints, struct door **out) {
  struct door *door = calloc(1, sizeof *door);
  if (door == NULL) {
    return fail(EXHAUSTED, "no memory for the door");
  }
  struct link *heads[] = {&door->ready, &door->slow, &door->drained, &door->closed};
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
    heads[i]->next = heads[i]->back = heads[i];
  }
  enum status status = open_sockets(door);
  status = status == OK ? listen_all(door->router, endpoints) : status;
  if (status != OK) {
    door_close(&door);
    return status;
  }
  *out = door;
  return OK;
}

/* The accounts are counted down until the context has ended. */
void door_close(struct door **pointer) {
  struct door *door = *pointer;
  if (door == NULL) {
    return;
  }
  if (door->router != NULL) {
    zmq_socket_monitor(door->router, NULL, 0);
    zmq_close(door->router);
  }
  if (door->monitor != NULL) {
    zmq_close(door->monitor);
  }
  if (door->context != NULL) {
    zmq_ctx_term(door->context);
  }
  for (size_t i = 0; i < CALLERS_MAX; i++) {
    if (door->callers.slot[i] != NULL) {
      callers_drop(&door->callers, door->callers.slot[i]);
    }
  }
  free(door->given);
  free(door);
  *pointer = NULL;
}
