/* dealer.c - a context for each connection, so that a broker whose name is not resolved keeps
 * nobody from the next one. */
#include "proto/dealer.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "proto/context.h"
#include "proto/endpoint.h"

/* ---- open, close ----------------------------------------------------------------------------- */

static bool is_tcp(const char *endpoint) { return strncmp(endpoint, "tcp://", 6) == 0; }

/* Each is read now, so that a typing error in the last one is known before the night in which it is
 * needed; and a key that does not open what is there. */
enum status dealer_open(struct dealer *dealer, const struct dealer_options *options) {
  for (size_t i = 0; i < options->count; i++) {
    char endpoint[ENDPOINT_BYTES_MAX];
    TRY(endpoint_read("broker", options->endpoints[i], endpoint));
    if (options->key != NULL && is_tcp(endpoint) && options->key->server_key[0] == '\0') {
      return fail_field(BAD_INPUT, "key",
                        "--key %.200s has no server-key: whose the broker is must be known before "
                        "anything is said to it (darkroom keys generate --server-key)",
                        options->key->path);
    }
  }
  *dealer = (struct dealer){.endpoints = options->endpoints,
                            .count = options->count,
                            .key = options->key,
                            .immediate = options->immediate};
  return OK;
}

void dealer_disconnect(struct dealer *dealer, int64_t wait_ms) {
  if (dealer->monitor != NULL) {
    zmq_socket_monitor(dealer->socket, NULL, 0);
    zmq_close(dealer->monitor);
    dealer->monitor = NULL;
  }
  if (dealer->socket != NULL) {
    zmq_close(dealer->socket);
    dealer->socket = NULL;
  }
  context_close(&dealer->context, wait_ms);
}

void dealer_next(struct dealer *dealer) {
  dealer_disconnect(dealer, 0);
  dealer->at = (dealer->at + 1) % dealer->count;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Its queue has no bound: libzmq's I/O thread would wait for room in it. It is read with every
 * message, and a broker that fails every handshake is tried again some times a second. */
static enum status watch_handshakes(struct dealer *dealer) {
  enum { FAILURES = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL };
  static const char name[] = "inproc://handshakes";
  int unbounded = 0;
  dealer->monitor = zmq_socket(dealer->context, ZMQ_PAIR);
  bool fine =
      dealer->monitor != NULL &&
      zmq_setsockopt(dealer->monitor, ZMQ_RCVHWM, &unbounded, sizeof unbounded) == 0 &&
      zmq_socket_monitor(dealer->socket, name, FAILURES | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) == 0 &&
      zmq_connect(dealer->monitor, name) == 0;
  return fine ? OK : fail(EXHAUSTED, "cannot watch the socket: %s", zmq_strerror(errno));
}

static enum status set_up(struct dealer *dealer) {
  int immediate = dealer->immediate;
  char endpoint[ENDPOINT_BYTES_MAX];
  dealer->socket = zmq_socket(dealer->context, ZMQ_DEALER);
  if (dealer->socket == NULL) {
    return fail(BROKEN, "no ZeroMQ socket: %s", zmq_strerror(errno));
  }
  TRY(wire_socket_options(dealer->socket, WIRE_ROLE_PEER));
  if (zmq_setsockopt(dealer->socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate) != 0) {
    return fail(BROKEN, "zmq: %s", zmq_strerror(errno));
  }
  TRY(watch_handshakes(dealer));
  TRY(endpoint_read("broker", dealer_endpoint(dealer), endpoint));
  if (dealer->key != NULL && is_tcp(endpoint)) {
    TRY(keys_lock_peer(dealer->socket, dealer->key));
  }
  if (zmq_connect(dealer->socket, endpoint) != 0) {
    return fail_field(BAD_INPUT, "broker", "--broker %s: %s", dealer_endpoint(dealer),
                      zmq_strerror(errno));
  }
  return OK;
}

enum status dealer_connect(struct dealer *dealer) {
  if (dealer->socket != NULL) {
    return OK;
  }
  dealer->locked = DEALER_WELCOME;
  TRY(context_open(&dealer->context));
  enum status status = set_up(dealer);
  if (status != OK) {
    dealer_disconnect(dealer, 0);
  }
  return status;
}

/* ---- receiving ------------------------------------------------------------------------------- */

enum status dealer_receive(struct dealer *dealer, struct wire_message *message) {
  TRY(wire_receive(dealer->socket, message));
  if (wire_flooded(&dealer->meter, message, clock_ms())) {
    wire_message_close(message);
    dealer_disconnect(dealer, 0);
    dealer->meter = (struct wire_meter){0};
    return fail(UNAVAILABLE, "the broker at %s floods", dealer_endpoint(dealer));
  }
  return OK;
}

const char *dealer_endpoint(const struct dealer *dealer) { return dealer->endpoints[dealer->at]; }

uint64_t dealer_correlation(struct dealer *dealer) { return ++dealer->correlation; }

/* ---- locks ----------------------------------------------------------------------------------- */

/* A mismatch of mechanisms and a wrong key of the broker look alike from here in most tries: an end
 * without a word. Only what is sure is told. Events are two frames: number (u16) and value (u32),
 * then the endpoint. */
enum dealer_locked dealer_locked(struct dealer *dealer) {
  uint8_t event[6];
  while (dealer->monitor != NULL &&
         zmq_recv(dealer->monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0) {
    char endpoint[8];
    uint16_t kind;
    (void)zmq_recv(dealer->monitor, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    memcpy(&kind, event, sizeof kind);
    dealer->locked = kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH       ? DEALER_KEY_UNKNOWN
                     : kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ? DEALER_KEY_ASKED
                                                                   : DEALER_WELCOME;
  }
  return dealer->locked;
}

const char *dealer_locked_text(enum dealer_locked locked) {
  static const char *const texts[] = {
      [DEALER_WELCOME] = "",
      [DEALER_KEY_UNKNOWN] = "the broker does not know the key (--key), or knows it no longer",
      [DEALER_KEY_ASKED] =
          ("the broker and this program do not agree on keys: one of them has none "
           "(--key)"),
  };
  return texts[locked];
}
