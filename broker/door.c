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

#include "base/clock.h"
#include "base/limits.h"
#include "broker/callers.h"
#include "broker/listen.h"
#include "broker/locks.h"
#include "broker/price.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "proto/context.h"

enum { ACCEPT_AGAIN_MS = 5, SLOW_WAIT_MS = 10, OTHERS_MAX = 8, TURNED_AWAY_MS = 1000 };

struct door {
  void *context, *router, *monitor;
  int fd_max; /* a connection with a higher descriptor is one too many */
  struct locks locks;
  struct callers callers;
  struct link ready;   /* a letter waits, and there is room for its answer */
  struct link slow;    /* a letter waits or news was missed, and there is no room */
  struct link drained; /* news was missed, and there is room again */
  struct link closed;
  struct note *given;    /* the letter that was taken last */
  struct identity *left; /* of the connection that was dropped last */
};

#define CALLER_OF(place, list) \
  ((struct caller *)(void *)((char *)(place)-offsetof(struct caller, list)))

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

/* libzmq has no word for it. The descriptor is its own and may have been closed a moment ago: the
 * monitor has been asked before, and who is hit instead comes again. */
static void end_connection(int fd) { (void)shutdown(fd, SHUT_RDWR); }

/* Before it comes to that: descriptors are given lowest first, so a high one says that all below it
 * are in use. That connection is ended, and the rest stays for what the broker itself opens. */
static void not_too_many(struct door *door, int fd) {
  if (fd >= door->fd_max) {
    end_connection(fd);
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

/* Which connection it came by. A routing id, a descriptor or a key that comes from another
 * connection than before: the earlier one has ended, and the monitor says so first, since its event
 * was written before the descriptor was free; or its routing id was taken over. */
static struct caller *caller_of(struct door *door, const struct wire_message *message,
                                struct identity *who) {
  struct caller *caller = callers_by_address(&door->callers, &message->from);
  if (caller != NULL && caller->fd == message->fd && caller->who == who) {
    return caller;
  }
  take_ends(door);
  if ((caller = callers_by_address(&door->callers, &message->from)) != NULL) {
    let_go(door, caller);
  }
  if ((caller = callers_by_fd(&door->callers, message->fd)) != NULL) {
    let_go(door, caller);
  }
  caller = callers_add(&door->callers, &message->from, message->fd);
  if (caller != NULL) {
    caller->who = who;
    locks_enter(who);
  }
  return caller;
}

/* Its identity stays until the next one is dropped: what the connection held is let go by then. */
static void drop(struct door *door, struct caller *caller) {
  locks_leave(&door->locks, door->left);
  door->left = caller->who;
  callers_drop(&door->callers, caller);
}

/* What it has asked is not done any more, also what changes something. */
static void end_revoked(struct door *door, struct caller *caller) {
  for (struct note *note; (note = caller_take(&door->callers, caller)) != NULL;) {
    free(note);
  }
  end_connection(caller->fd);
  let_go(door, caller);
  metric_add(M_CONNECTIONS_REVOKED, 1);
  log_warning("connection_revoked", log_text("key", caller->who->row.name),
              log_text("tenant", caller->who->row.tenant));
}

/* Questions of handshakes; and when keys have been revoked, their connections. */
static void tend_locks(struct door *door) {
  if (!locks_tend(&door->locks, clock_ms())) {
    return;
  }
  for (size_t i = 0; i < CALLERS_MAX; i++) {
    struct caller *caller = door->callers.slot[i];
    if (caller != NULL && !caller->gone && caller->who != NULL && caller->who->revoked) {
      end_revoked(door, caller);
    }
  }
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

/* Whose key is no longer known is told so and led out. */
static void show_out(struct door *door, const struct wire_message *message,
                     const struct refusal *why) {
  log_warning("message_forbidden", log_text("key", message->user),
              log_text("reason", why->message));
  (void)wire_send_refusal(door->router, &message->from, message->correlation, why);
  end_connection(message->fd);
}

static void take_message(struct door *door, const struct wire_message *message) {
  struct refusal why = {0};
  struct identity *who = NULL;
  if (locks_who(&door->locks, message, &who, &why) != OK) {
    show_out(door, message, &why);
    return;
  }
  struct caller *caller = caller_of(door, message, who);
  enum status status = caller != NULL ? caller_note(&door->callers, caller, message)
                                      : fail(EXHAUSTED, "too many connections");
  if (status != OK) {
    turn_away(door, caller, message);
  } else {
    settle(door, caller);
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
  tend_locks(door);
  while (wire_receive(door->router, &message) == OK && message.got != WIRE_NOTHING) {
    take_message(door, &message);
  }
  wire_message_close(&message);
  look_after_the_slow(door);
  metric_set(M_CONNECTIONS, (double)door->callers.count);
  metric_set(M_UNREAD_BYTES, (double)atomic_load(&door->callers.unread));
}

/* ---- letters --------------------------------------------------------------------------------- */

static void write_letter(const struct caller *caller, const struct note *note, struct letter *out) {
  *out = (struct letter){.caller = caller->id,
                         .who = caller->who != NULL ? caller->who : &identity_open,
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
    drop(door, caller);
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

struct shares *door_shares(struct door *door, uint64_t id) {
  struct caller *caller = callers_find(&door->callers, id);
  return caller != NULL ? &caller->shares : NULL;
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
  enum { OWN = 3 };
  zmq_pollitem_t items[OWN + OTHERS_MAX] = {
      {.socket = door->router, .events = ZMQ_POLLIN},
      {.socket = door->monitor, .events = ZMQ_POLLIN},
      {.socket = door->locks.questions, .fd = -1, .events = ZMQ_POLLIN},
  };
  assert(count <= OTHERS_MAX);
  for (size_t i = 0; i < count; i++) {
    short events = (others[i].events & POLLOUT) != 0 ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
    items[OWN + i] = (zmq_pollitem_t){.fd = others[i].fd, .events = events};
  }
  if (list_holds(&door->slow) && wait_ms > SLOW_WAIT_MS) {
    wait_ms = SLOW_WAIT_MS; /* libzmq does not say that a peer has read */
  }
  (void)zmq_poll(items, (int)(OWN + count), at_once(door) ? 0 : (long)wait_ms);
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

enum status door_open(const struct door_options *options, struct door **out) {
  struct door *door = calloc(1, sizeof *door);
  if (door == NULL) {
    return fail(EXHAUSTED, "no memory for the door");
  }
  struct link *heads[] = {&door->ready, &door->slow, &door->drained, &door->closed};
  for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
    heads[i]->next = heads[i]->back = heads[i];
  }
  enum status status = open_sockets(door);
  status = status == OK ? locks_open(&door->locks, door->context, options->key, options->keyring)
                        : status;
  status = status == OK ? listen_all(door->router, options->endpoints, &door->locks) : status;
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
  locks_shut(&door->locks);
  if (door->context != NULL) {
    zmq_ctx_term(door->context);
  }
  for (size_t i = 0; i < CALLERS_MAX; i++) {
    if (door->callers.slot[i] != NULL) {
      drop(door, door->callers.slot[i]);
    }
  }
  locks_leave(&door->locks, door->left);
  locks_close(&door->locks);
  free(door->given);
  free(door);
  *pointer = NULL;
}
