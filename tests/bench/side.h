/* side.h - a peer of a broker that only measures: it says, it hears, and gives up if it cannot. */
#ifndef DARKROOM_TESTS_BENCH_SIDE_H
#define DARKROOM_TESTS_BENCH_SIDE_H

#include <stdio.h>
#include <stdlib.h>

#include "proto/wire.h"

enum { SIDE_ARENA_BYTES = 1 << 20 };

struct side {
  void *socket;
  struct arena *arena; /* sides that are heard one after the other may share one */
  struct wire_message message;
};

static inline _Noreturn void side_die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, fail_reason());
  exit(1);
}

/* arena: NULL for one of its own. */
static inline void side_open(struct side *side, void *context, const char *endpoint,
                             struct arena *arena) {
  *side = (struct side){.socket = zmq_socket(context, ZMQ_DEALER), .arena = arena};
  if (side->socket == NULL || wire_socket_options(side->socket, WIRE_ROLE_PEER) != OK ||
      zmq_connect(side->socket, endpoint) != 0 ||
      (arena == NULL && arena_open(NULL, SIDE_ARENA_BYTES, &side->arena) != OK)) {
    side_die("cannot connect");
  }
}

static inline void side_say(struct side *side, enum wire_verb verb, uint64_t correlation,
                            const ProtobufCMessage *message) {
  if (wire_send(side->socket, NULL, verb, correlation, message) != OK) {
    side_die("cannot send");
  }
}

/* The next message, unpacked; NULL when none came in time. The one before is forgotten. */
static inline ProtobufCMessage *side_hear(struct side *side, int wait_ms) {
  arena_drop(side->arena);
  ProtobufCMessage *out = NULL;
  if (wire_receive(side->socket, &side->message) != OK) {
    side_die("cannot receive");
  }
  if (side->message.got == WIRE_NOTHING && wait_ms > 0) {
    zmq_pollitem_t item = {.socket = side->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, wait_ms) > 0 && wire_receive(side->socket, &side->message) != OK) {
      side_die("cannot receive");
    }
  }
  if (side->message.got != WIRE_MESSAGE) {
    return NULL;
  }
  if (wire_unpack(side->message.verb, side->message.payload, side->message.payload_bytes,
                  side->arena, &out, NULL) != OK) {
    side_die("cannot read an answer");
  }
  return out;
}

#endif
