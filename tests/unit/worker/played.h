/* played.h - a broker that a test plays by hand: a ROUTER on a free port, one message at a time.
 *
 * Include after cmocka.h. The clock may be held still meanwhile: sockets have their own.
 */
#ifndef DARKROOM_TESTS_UNIT_WORKER_PLAYED_H
#define DARKROOM_TESTS_UNIT_WORKER_PLAYED_H

#include <stdbool.h>

#include "proto/wire.h"

enum { PLAYED_WAIT_MS = 5000, PLAYED_QUIET_MS = 50, PLAYED_ARENA_BYTES = 8 << 20 };

struct played {
  void *context, *router;
  char endpoint[64];
  struct arena *arena;         /* of the message heard last */
  struct wire_message message; /* and its sender and number */
};

static inline void played_open(struct played *played) {
  *played = (struct played){.context = zmq_ctx_new()};
  played->router = zmq_socket(played->context, ZMQ_ROUTER);
  assert_int_equal(wire_socket_options(played->router, WIRE_ROLE_BROKER), OK);
  assert_int_equal(zmq_bind(played->router, "tcp://127.0.0.1:*"), 0);
  size_t bytes = sizeof played->endpoint;
  assert_int_equal(zmq_getsockopt(played->router, ZMQ_LAST_ENDPOINT, played->endpoint, &bytes), 0);
  assert_int_equal(arena_open(NULL, PLAYED_ARENA_BYTES, &played->arena), OK);
}

static inline void played_close(struct played *played) {
  wire_message_close(&played->message);
  zmq_close(played->router);
  zmq_ctx_term(played->context);
  arena_close(&played->arena);
}

static inline bool played_wait(void *socket, long ms) {
  zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
  return zmq_poll(&item, 1, ms) > 0;
}

/* The next message, which must be this verb; lives until the next call. */
static inline const ProtobufCMessage *played_hear(struct played *played, enum wire_verb verb) {
  ProtobufCMessage *message = NULL;
  assert_true(played_wait(played->router, PLAYED_WAIT_MS));
  assert_int_equal(wire_receive(played->router, &played->message), OK);
  assert_int_equal(played->message.got, WIRE_MESSAGE);
  assert_int_equal(played->message.verb, verb);
  arena_drop(played->arena);
  assert_int_equal(wire_unpack(verb, played->message.payload, played->message.payload_bytes,
                               played->arena, &message, NULL),
                   OK);
  return message;
}

static inline void played_hear_nothing(struct played *played) {
  assert_false(played_wait(played->router, PLAYED_QUIET_MS));
}

/* To whoever spoke last. */
static inline void played_say(struct played *played, enum wire_verb verb, uint64_t correlation,
                              const ProtobufCMessage *message) {
  assert_int_equal(wire_send(played->router, &played->message.from, verb, correlation, message),
                   OK);
}

#endif
