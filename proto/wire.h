/* wire.h - ZeroMQ frames: [identity] [empty delimiter] header payload; see README.md of this
 * folder.
 *
 * Everything is non-blocking: callers poll their sockets and drain them. Payloads are unpacked only
 * through an arena, zeroed and capped. Works on ROUTER sockets (messages carry the address of the
 * peer) and on DEALER sockets.
 */
#ifndef DARKROOM_PROTO_WIRE_H
#define DARKROOM_PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

#include "base/arena.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"
#include "proto/keys.h"
#include "proto/refusal.h"
#include "proto/roles.h"

#define WIRE_VERSION 1
#define WIRE_HEADER_BYTES 12
#define WIRE_IDENTITY_BYTES_MAX 255

enum wire_verb {
#define VERB(id, number, payload, sender, roles) WIRE_##id = number,
#include "proto/verbs.def"
#undef VERB
};

/* Who sends a verb. A broker answers WIRE_FROM_BROKER verbs with ERROR_VERB, and a peer ignores the
 * others. */
enum wire_sender { WIRE_FROM_CLIENT = 1, WIRE_FROM_WORKER = 2, WIRE_FROM_BROKER = 4 };

struct wire_verb_row {
  enum wire_verb verb;
  const char *name; /* "SUBMIT" */
  const ProtobufCMessageDescriptor *payload;
  enum wire_sender sender;
  unsigned roles; /* a set of enum role: who has one of them may say it */
};

/* The row of a verb, NULL for a number that is not in the contract. */
const struct wire_verb_row *wire_verb(unsigned verb);

/* Where a ROUTER's message came from and its answer goes to. Plain data: copy it to remember a
 * peer. */
struct wire_address {
  uint8_t identity[WIRE_IDENTITY_BYTES_MAX];
  uint8_t identity_bytes;
  bool delimiter; /* the peer is a REQ (or acts like one): answers need the empty frame too */
};
bool wire_address_equal(const struct wire_address *a, const struct wire_address *b);

enum wire_got {
  WIRE_NOTHING,    /* no message was waiting */
  WIRE_MESSAGE,    /* verb, correlation and payload are set; the verb is in the contract */
  WIRE_UNREADABLE, /* refused as why says; from and, when it could be read, correlation are set:
                      wire_send_refusal */
};

/* A message as received. Start with {0}; wire_message_close when done, also before it is used again
 * by hand; wire_receive closes what is in it. Not to be copied while it holds a payload. */
struct wire_message {
  enum wire_got got;
  struct wire_address from;
  int fd; /* of the connection, as a socket's monitor names it; -1: of a DEALER, or not known */
  char
      user[KEY_TEXT_BYTES]; /* whose key opened the connection, as the handshake proved; "": none */
  bool remote;              /* it came by tcp:// */
  enum wire_verb verb;
  uint64_t correlation;
  const uint8_t *payload; /* valid until close */
  size_t payload_bytes;
  struct refusal why;
  zmq_msg_t frame; /* owns payload */
  bool frame_held;
};

/* Takes one waiting message off the socket, whole; never blocks. BROKEN when the socket itself
 * failed or the context ends; OK otherwise, with message->got saying what was there. */
enum status wire_receive(void *socket, struct wire_message *message);
void wire_message_close(struct wire_message *message);

/* What a broker says, counted by the second. The queue of a peer's socket has no bound (wire.c says
 * why), so who reads it looks at how much there is, and leaves a broker that says more than any
 * fleet needs; closing the socket drops what it has said. Start with {0}. */
struct wire_meter {
  int64_t second_ms;
  size_t messages, bytes;
};
/* Counts a message; true when it is above FLOOD_MESSAGES_MAX or FLOOD_BYTES_MAX. */
bool wire_flooded(struct wire_meter *meter, const struct wire_message *message, int64_t now_ms);

/* Sends verb with the packed message; never blocks. to is NULL on a DEALER. UNAVAILABLE: the peer
 * is gone or its queue is full, nothing was sent. BAD_INPUT: it would be larger than a frame may
 * be. */
enum status wire_send(void *socket, const struct wire_address *to, enum wire_verb verb,
                      uint64_t correlation, const ProtobufCMessage *message);

/* The same with a payload that is packed already; the frame is taken, also on failure. EXHAUSTED:
 * the peer's queue is full (of a ROUTER; UNAVAILABLE then means that it has gone). */
enum status wire_send_frame(void *socket, const struct wire_address *to, enum wire_verb verb,
                            uint64_t correlation, zmq_msg_t *frame);

/* ERROR with what the refusal says. */
enum status wire_send_refusal(void *socket, const struct wire_address *to, uint64_t correlation,
                              const struct refusal *why);

/* Unpacks a payload of the verb's type into arena: zeroed, at most min(UNPACK_BYTES_MAX, a floor +
 * UNPACK_FACTOR_MAX x payload bytes) for what peers send and UNPACK_BYTES_MAX for a broker's
 * answers, every text valid UTF-8 without NUL. The result lives as long as the arena's memory; cast
 * it to the verb's type; never free it otherwise. BAD_INPUT fills *why (MALFORMED, or FIELD for a
 * bad text). why may be NULL. */
enum status wire_unpack(enum wire_verb verb, const uint8_t *payload, size_t payload_bytes,
                        struct arena *arena, ProtobufCMessage **out, struct refusal *why);
/* The same for any message type: stored jobs, the engine's pipe. */
enum status wire_unpack_type(const ProtobufCMessageDescriptor *type, const uint8_t *payload,
                             size_t payload_bytes, struct arena *arena, ProtobufCMessage **out,
                             struct refusal *why);

/* The header alone, for tests and other transports. Decode refuses with VERSION, VERB or MALFORMED.
 */
void wire_header_encode(enum wire_verb verb, uint64_t correlation,
                        uint8_t header[WIRE_HEADER_BYTES]);
enum status wire_header_decode(const uint8_t *header, size_t bytes, enum wire_verb *verb,
                               uint64_t *correlation, struct refusal *why);

enum wire_role {
  WIRE_ROLE_BROKER, /* ROUTER that binds */
  WIRE_ROLE_PEER,   /* DEALER that connects */
};

/* Sets what every socket of ours has, before bind or connect: message size, handshake time,
 * high-water marks, linger, heartbeats; on ROUTER also MANDATORY. */
enum status wire_socket_options(void *socket, enum wire_role role);

#endif
