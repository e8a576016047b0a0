/* wire.c - frames in and out of a ZeroMQ socket. */
#include "proto/wire.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

enum { HANDSHAKE_MS = 2000, HEARTBEAT_MS = 5000, HEARTBEAT_TIMEOUT_MS = 15000 };
enum {
  HIGH_WATER_BROKER = 4096,
  HIGH_WATER = 1000,
  LINGER_MS = 1000,
  BACKLOG = 256,
  TCP_MAX_RETRANSMIT_MS = 15000
};
enum { KEEPALIVE_IDLE_S = 10, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 3 };
enum { RECONNECT_MS = 100, RECONNECT_MS_MAX = 3000 };

/* verbs --------------------------------------------------------------------------------------- */

enum { VERB_NUMBERS = 128 };

#define VERB(id, number, type, from, roles) \
  [number] = {WIRE_##id, #id, &darkroom__v1__##type##__descriptor, WIRE_FROM_##from, roles},
static const struct wire_verb_row verbs[VERB_NUMBERS] = {
#include "proto/verbs.def"
};
#undef VERB

const struct wire_verb_row *wire_verb(unsigned verb) {
  return verb < VERB_NUMBERS && verbs[verb].name != NULL ? &verbs[verb] : NULL;
}

/* header -------------------------------------------------------------------------------------- */

void wire_header_encode(enum wire_verb verb, uint64_t correlation,
                        uint8_t header[WIRE_HEADER_BYTES]) {
  header[0] = 'D';
  header[1] = 'K';
  header[2] = WIRE_VERSION;
  header[3] = (uint8_t)verb;
  for (int i = 0; i < 8; i++) {
    header[4 + i] = (uint8_t)(correlation >> (8 * i));
  }
}

/* The correlation number is given as soon as there is one, so that a refusal can carry it. */
enum status wire_header_decode(const uint8_t *header, size_t bytes, enum wire_verb *verb,
                               uint64_t *correlation, struct refusal *why) {
  *correlation = 0;
  if (bytes != WIRE_HEADER_BYTES || header[0] != 'D' || header[1] != 'K') {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED, NULL, "12 bytes: DK 1 verb u64",
                  "the header frame cannot be read");
  }
  for (int i = 0; i < 8; i++) {
    *correlation |= (uint64_t)header[4 + i] << (8 * i);
  }
  if (header[2] != WIRE_VERSION) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_VERSION, NULL, "1",
                  "frame version %u is not known here", header[2]);
  }
  if (wire_verb(header[3]) == NULL) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_VERB, NULL, NULL,
                  "verb %u is not known here", header[3]);
  }
  *verb = (enum wire_verb)header[3];
  return OK;
}

/* receiving ----------------------------------------------------------------------------------- */

bool wire_address_equal(const struct wire_address *a, const struct wire_address *b) {
  return a->identity_bytes == b->identity_bytes &&
         memcmp(a->identity, b->identity, a->identity_bytes) == 0;
}

void wire_message_close(struct wire_message *message) {
  if (message->frame_held) {
    zmq_msg_close(&message->frame);
    message->frame_held = false;
  }
  message->got = WIRE_NOTHING;
  message->payload = NULL;
  message->payload_bytes = 0;
}

/* One frame of the message being read; the frame is the message's until the next call. nothing is
 * set only when no message was waiting: libzmq delivers all frames of a message or none. */
static enum status frame_read(void *socket, struct wire_message *out, bool *nothing) {
  if (!out->frame_held) {
    zmq_msg_init(&out->frame);
    out->frame_held = true;
  }
  *nothing = false;
  int bytes = -1;
  do {
    bytes = zmq_msg_recv(&out->frame, socket, ZMQ_DONTWAIT);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0 && errno == EAGAIN) {
    *nothing = true;
    return OK;
  }
  return bytes >= 0 ? OK : fail(BROKEN, "socket: %s", zmq_strerror(errno));
}

static bool more(const struct wire_message *out) { return zmq_msg_more(&out->frame) != 0; }

static enum status unreadable(void *socket, struct wire_message *out) {
  bool nothing = false;
  while (more(out) && !nothing) {
    TRY(frame_read(socket, out, &nothing));
  }
  wire_message_close(out);
  out->got = WIRE_UNREADABLE;
  return OK;
}

static enum status refuse_frames(void *socket, struct wire_message *out, const char *what) {
  refuse(&out->why, DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED, NULL, "header and payload frames",
         "%s", what);
  return unreadable(socket, out);
}

/* What the transport itself says of a frame's sender; no message can say otherwise. A frame without
 * these properties is refused by nobody here: it has no user. An ipc address reads localhost:uid.
 */
static void read_origin(struct wire_message *out) {
  const char *user = zmq_msg_gets(&out->frame, "User-Id");
  const char *address = zmq_msg_gets(&out->frame, "Peer-Address");
  out->fd = zmq_msg_get(&out->frame, ZMQ_SRCFD);
  out->remote = address == NULL || strncmp(address, "localhost:", 10) != 0;
  snprintf(out->user, sizeof out->user, "%s", user != NULL ? user : "");
}

/* The first frame on a ROUTER is the peer; then comes an empty one from a REQ. *at_header: the
 * header is in hand. */
static enum status read_address(void *socket, struct wire_message *out, bool router,
                                bool *nothing) {
  TRY(frame_read(socket, out, nothing));
  if (*nothing) {
    return OK;
  }
  if (router) {
    size_t bytes = zmq_msg_size(&out->frame);
    out->from.identity_bytes = (uint8_t)(bytes <= WIRE_IDENTITY_BYTES_MAX ? bytes : 0);
    memcpy(out->from.identity, zmq_msg_data(&out->frame), out->from.identity_bytes);
    if (more(out)) {
      TRY(frame_read(socket, out, nothing));
    }
    read_origin(out);
  }
  if (zmq_msg_size(&out->frame) == 0 && more(out)) {
    out->from.delimiter = true;
    TRY(frame_read(socket, out, nothing));
  }
  return OK;
}

static bool is_router(void *socket) {
  int type = 0;
  size_t bytes = sizeof type;
  return zmq_getsockopt(socket, ZMQ_TYPE, &type, &bytes) == 0 && type == ZMQ_ROUTER;
}

enum status wire_receive(void *socket, struct wire_message *message) {
  wire_message_close(message);
  message->from = (struct wire_address){0};
  message->fd = -1;
  message->user[0] = '\0';
  message->remote = false;
  message->correlation = 0;
  bool nothing = false;
  TRY(read_address(socket, message, is_router(socket), &nothing));
  if (nothing) {
    wire_message_close(message);
    return OK;
  }
  if (wire_header_decode(zmq_msg_data(&message->frame), zmq_msg_size(&message->frame),
                         &message->verb, &message->correlation, &message->why) != OK) {
    return unreadable(socket, message);
  }
  if (!more(message)) {
    return refuse_frames(socket, message, "the payload frame is missing");
  }
  TRY(frame_read(socket, message, &nothing));
  if (more(message)) {
    return refuse_frames(socket, message, "more frames than two");
  }
  if (zmq_msg_size(&message->frame) > FRAME_BYTES_MAX) {
    return refuse_frames(socket, message, "the payload is larger than 262144 bytes");
  }
  message->got = WIRE_MESSAGE;
  message->payload = zmq_msg_data(&message->frame);
  message->payload_bytes = zmq_msg_size(&message->frame);
  return OK;
}

bool wire_flooded(struct wire_meter *meter, const struct wire_message *message, int64_t now_ms) {
  if (now_ms - meter->second_ms >= 1000) {
    *meter = (struct wire_meter){.second_ms = now_ms};
  }
  meter->messages += message->got != WIRE_NOTHING;
  meter->bytes += message->payload_bytes;
  return meter->messages > FLOOD_MESSAGES_MAX || meter->bytes > FLOOD_BYTES_MAX;
}

/* sending ------------------------------------------------------------------------------------- */

/* Nothing has been sent yet when the first frame fails; after it libzmq takes the rest of the
 * message. */
static enum status frame_send(void *socket, const void *data, size_t bytes, int flags) {
  int sent = -1;
  do {
    sent = zmq_send(socket, data, bytes, flags | ZMQ_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    return OK;
  }
  bool away = errno == EAGAIN || errno == EHOSTUNREACH;
  return fail(away ? UNAVAILABLE : BROKEN, "send: %s", zmq_strerror(errno));
}

/* The first frame to a ROUTER finds out whether the peer is there (MANDATORY) and has room. */
static enum status address_send(void *socket, const struct wire_address *to) {
  if (to == NULL) {
    return OK;
  }
  if (to->identity_bytes > 0) {
    enum status status = frame_send(socket, to->identity, to->identity_bytes, ZMQ_SNDMORE);
    if (status != OK) {
      return status == UNAVAILABLE && zmq_errno() == EAGAIN ? EXHAUSTED : status;
    }
  }
  return to->delimiter ? frame_send(socket, "", 0, ZMQ_SNDMORE) : OK;
}

static enum status head_send(void *socket, const struct wire_address *to, enum wire_verb verb,
                             uint64_t correlation) {
  uint8_t header[WIRE_HEADER_BYTES];
  wire_header_encode(verb, correlation, header);
  TRY(address_send(socket, to));
  return frame_send(socket, header, sizeof header, ZMQ_SNDMORE);
}

static enum status check_size(enum wire_verb verb, size_t bytes) {
  return bytes <= FRAME_BYTES_MAX ? OK
                                  : fail(BAD_INPUT, "%s of %zu bytes: a frame holds %d",
                                         wire_verb(verb)->name, bytes, FRAME_BYTES_MAX);
}

enum status wire_send_frame(void *socket, const struct wire_address *to, enum wire_verb verb,
                            uint64_t correlation, zmq_msg_t *frame) {
  enum status status = check_size(verb, zmq_msg_size(frame));
  status = status == OK ? head_send(socket, to, verb, correlation) : status;
  int sent = 0;
  do {
    sent = status == OK ? zmq_msg_send(frame, socket, ZMQ_DONTWAIT) : 0;
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    status = fail(BROKEN, "send: %s", zmq_strerror(errno));
  }
  zmq_msg_close(frame);
  return status;
}

/* Packs straight into the frame's memory. */
enum status wire_send(void *socket, const struct wire_address *to, enum wire_verb verb,
                      uint64_t correlation, const ProtobufCMessage *message) {
  assert(message->descriptor == wire_verb(verb)->payload);
  size_t bytes = protobuf_c_message_get_packed_size(message);
  TRY(check_size(verb, bytes));
  zmq_msg_t frame;
  if (zmq_msg_init_size(&frame, bytes) != 0) {
    return fail(EXHAUSTED, "no memory for a frame of %zu bytes", bytes);
  }
  protobuf_c_message_pack(message, zmq_msg_data(&frame));
  return wire_send_frame(socket, to, verb, correlation, &frame);
}

enum status wire_send_refusal(void *socket, const struct wire_address *to, uint64_t correlation,
                              const struct refusal *why) {
  Darkroom__V1__Error error = refusal_error(why);
  return wire_send(socket, to, WIRE_ERROR, correlation, &error.base);
}

/* sockets ------------------------------------------------------------------------------------- */

enum { ON_BROKER = 1, ON_PEER = 2, ON_ALL = ON_BROKER | ON_PEER };

/* What a socket of ours must never do is end its process, and libzmq 4.3.4 asserts in states that a
 * peer can bring about. Option by option:
 *
 * RCVHWM 0: a connection whose queue is full is no longer read, and a stopped one that then leaves
 * is in a state (stream_engine_base.cpp, _io_error) in which three things assert: a heartbeat timer
 * of ours, a PING of the peer among the bytes already read, and, where we connect, a queue that is
 * read on after connecting anew. None of the three can be forbidden a peer; a queue that is never
 * full is never stopped. So its bound is kept by its reader: the broker takes off all that is there
 * in every turn and while it waits for Redis, into queues bounded in bytes (broker/door.c); a peer
 * leaves a broker that floods it (wire_flooded) and closes its socket before it does not read for
 * long.
 *
 * ROUTER_HANDOVER 1: with 0 a connection that chooses a routing id in use is never read, and what
 * it sends is kept without bound. With 1 the later connection takes the id over; peers of ours
 * choose none. A made-up id that meets the one libzmq draws next would assert (socket_base.cpp,
 * add_out_pipe); it draws from a random start of 32 bits and tells nobody.
 *
 * ROUTER_MANDATORY 1: a peer that is gone, or full at SNDHWM, is an errno of the first frame and
 * not a silence. Everything is sent DONTWAIT. The broker's SNDHWM lies above what its bound in
 * bytes lets through, each message counted with its cost.
 *
 * HEARTBEAT_IVL only where we connect: the broker's side finds a host that is gone by TCP's
 * keepalive and MAXRT. MAXMSGSIZE bounds a frame before it is held; a larger one ends its
 * connection. HANDSHAKE_IVL ends who connects and says nothing. LINGER bounds how long closing may
 * take.
 *
 * Not an option: descriptors. libzmq asserts when accept() on ipc, or a new context, finds none;
 * see accept4() in broker/door.c and context_open(). Memory: libzmq ends the process without
 * any, as Linux does; what it may hold is bounded by all the above, but for the frames of one
 * message that does not end, which it keeps until the last. */
static const struct {
  int option;
  int value;
  unsigned roles;
} options[] = {
    {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS, ON_ALL},
    {ZMQ_SNDHWM, HIGH_WATER, ON_PEER},
    {ZMQ_SNDHWM, HIGH_WATER_BROKER, ON_BROKER},
    {ZMQ_RCVHWM, 0, ON_ALL},
    {ZMQ_LINGER, LINGER_MS, ON_ALL},
    {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS, ON_PEER},
    {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS, ON_PEER},
    {ZMQ_TCP_KEEPALIVE, 1, ON_ALL},
    {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S, ON_ALL},
    {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S, ON_ALL},
    {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT, ON_ALL},
    {ZMQ_TCP_MAXRT, TCP_MAX_RETRANSMIT_MS, ON_ALL},
    {ZMQ_IPV6, 1, ON_ALL},
    {ZMQ_BACKLOG, BACKLOG, ON_BROKER},
    {ZMQ_ROUTER_MANDATORY, 1, ON_BROKER}, /* a peer that is gone is an error, not a silence */
    {ZMQ_ROUTER_HANDOVER, 1, ON_BROKER},  /* see above */
    {ZMQ_RECONNECT_IVL, RECONNECT_MS, ON_PEER},
    {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX, ON_PEER},
};

/* MAXMSGSIZE comes first: it bounds what a stranger can make us hold before the handshake is over.
 */
enum status wire_socket_options(void *socket, enum wire_role role) {
  int64_t largest = role == WIRE_ROLE_BROKER ? FRAME_BYTES_TOLD_MAX : FRAME_BYTES_MAX;
  int failed = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
  unsigned wanted = role == WIRE_ROLE_BROKER ? ON_BROKER : ON_PEER;
  for (size_t i = 0; i < sizeof options / sizeof options[0] && failed == 0; i++) {
    if ((options[i].roles & wanted) != 0) {
      failed = zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof(int));
    }
  }
  return failed == 0 ? OK : fail(BROKEN, "socket option: %s", zmq_strerror(errno));
}
