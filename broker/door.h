/* door.h - where peers come in: the ROUTER, and what each connection holds of the broker.
 *
 * libzmq knows messages and no bounds in bytes, so they are kept here. In: whatever has arrived is
 * taken off the ROUTER at once (its queue must never fill, see wire.c) and waits in a queue of its
 * connection, bounded in bytes; what is above the bound is refused. Out: every byte that libzmq
 * holds for a connection is counted until it has been written to the kernel, and above the bound
 * nothing more is said to it. Letters are given out one of each connection in turn, and only when
 * there is room for the answer: who floods delays itself, and who does not read its answers is not
 * served until it does. What a connection holds goes with it.
 */
#ifndef DARKROOM_BROKER_DOOR_H
#define DARKROOM_BROKER_DOOR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/identity.h"
#include "proto/keys.h"
#include "proto/wire.h"

struct door;

/* A request as it came in. */
struct letter {
  uint64_t caller;            /* whose connection; a number that is never given twice */
  const struct identity *who; /* at its other end; lives as long as the connection */
  bool delimiter;
  bool readable; /* false: why says what is wrong, verb and payload are not set */
  enum wire_verb verb;
  uint64_t correlation;   /* also of an unreadable one, when it could be read */
  const uint8_t *payload; /* valid until the next door_take() */
  size_t payload_bytes;
  size_t promised; /* room kept for the answer until door_settle() */
  struct refusal why;
};

struct door_options {
  const char *endpoints;      /* separated by commas: tcp://HOST:PORT, ipc://PATH */
  const struct key_pair *key; /* locks every tcp:// endpoint; NULL: none is locked */
  const char *keyring;        /* a file; with key */
};
/* BAD_INPUT names the endpoint that cannot be listened on, or what is wrong with the keyring;
 * UNAVAILABLE: somebody else listens there. What options names is borrowed. */
enum status door_open(const struct door_options *options, struct door **out);
void door_close(struct door **door);

/* Waits for a peer or for one of count other descriptors, at most wait_ms; less while somebody is
 * looked after who does not read. */
void door_wait(struct door *door, const struct pollfd *others, size_t count, int64_t wait_ms);

/* Takes in what has arrived: messages, ends. Never blocks; calls nobody. */
void door_gather(struct door *door);
/* The next letter, of the next connection in turn; false when there is none that can be answered
 * now. What only asks is dropped when its asker has gone. */
bool door_take(struct door *door, struct letter *out);
/* The next connection that has ended; false when there is none. */
bool door_closed(struct door *door, uint64_t *caller);

/* What is said, and what becomes of it when its caller has CALLER_UNREAD_BYTES_MAX unread. */
enum door_kind {
  DOOR_ANSWER,  /* finds no room: say a refusal instead */
  DOOR_REFUSAL, /* short, always has room: it was kept when the letter was taken */
  DOOR_NEWS,    /* is left out; door_drained() names the caller when there is room again */
};
enum door_sent {
  DOOR_SENT,
  DOOR_GONE,      /* the connection has ended */
  DOOR_FULL,      /* it does not read: there is no room */
  DOOR_TOO_LARGE, /* above FRAME_BYTES_MAX: a fault of ours */
};
struct head {
  bool delimiter; /* the caller is a REQ: its empty frame goes back to it */
  enum wire_verb verb;
  uint64_t correlation;
};
enum door_sent door_send(struct door *door, uint64_t caller, const struct head *head,
                         const ProtobufCMessage *message, enum door_kind kind);
/* What a connection has had of its share; NULL: it has ended. */
struct shares *door_shares(struct door *door, uint64_t caller);
/* Gives back the room that was kept for the answer to a letter. */
void door_settle(struct door *door, uint64_t caller, size_t promised);
/* The next connection that has read what it had left lying, and missed news meanwhile; false when
 * there is none. */
bool door_drained(struct door *door, uint64_t *caller);

#endif
