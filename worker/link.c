/* link.c - a DEALER that is thrown away, with all that waits in it, whenever the broker changes. */
#include "worker/link.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "proto/endpoint.h"

static enum status connect_socket(struct link *link) {
  link->socket = zmq_socket(link->context, ZMQ_DEALER);
  if (link->socket == NULL) {
    return fail(BROKEN, "no ZeroMQ socket: %s", zmq_strerror(errno));
  }
  TRY(wire_socket_options(link->socket, WIRE_ROLE_PEER));
  char endpoint[ENDPOINT_BYTES_MAX];
  TRY(endpoint_read("broker", link->endpoints[link->at], endpoint));
  if (zmq_connect(link->socket, endpoint) != 0) {
    return fail_field(BAD_INPUT, "broker", "--broker %s: %s", endpoint, zmq_strerror(errno));
  }
  link->asked_ms = 0;
  return OK;
}

static void close_socket(struct link *link) {
  if (link->socket != NULL) {
    zmq_close(link->socket);
    link->socket = NULL;
  }
}

enum status link_open(struct link *link, const char *const *endpoints, size_t count,
                      int64_t silence_ms) {
  *link = (struct link){.endpoints = endpoints, .count = count, .silence_ms = silence_ms};
  link->context = zmq_ctx_new();
  if (link->context == NULL) {
    return fail(BROKEN, "no ZeroMQ context: %s", zmq_strerror(errno));
  }
  /* each is tried once, so that a typing error in the last one is known now and not in the night it
   * is needed */
  for (link->at = count; link->at-- > 0;) {
    close_socket(link);
    TRY(connect_socket(link));
    if (link->at == 0) {
      break;
    }
  }
  return OK;
}

void link_close(struct link *link) {
  close_socket(link);
  if (link->context != NULL) {
    zmq_ctx_term(link->context);
    link->context = NULL;
  }
}

uint64_t link_tell(struct link *link, enum wire_verb verb, const ProtobufCMessage *message) {
  uint64_t correlation = ++link->correlation;
  if (wire_send(link->socket, NULL, verb, correlation, message) != OK) {
    log_debug("not_sent", log_number("verb", verb), log_text("reason", fail_reason()));
  }
  return correlation;
}

uint64_t link_ask(struct link *link, enum wire_verb verb, const ProtobufCMessage *message) {
  if (link->asked_ms == 0) {
    link->asked_ms = clock_ms();
  }
  return link_tell(link, verb, message);
}

enum status link_receive(struct link *link, struct wire_message *message) {
  TRY(wire_receive(link->socket, message));
  if (message->got != WIRE_NOTHING) {
    link->heard = true;
    link->silent = 0;
    link->asked_ms = 0;
  }
  return OK;
}

bool link_tend(struct link *link, int64_t now_ms) {
  if (link->asked_ms == 0 || now_ms - link->asked_ms < link->silence_ms) {
    return false;
  }
  link->silent++;
  const char *left = link->endpoints[link->at];
  link->at = (link->at + 1) % link->count;
  log_warning("broker_silent", log_text("left", left), log_text("next", link->endpoints[link->at]));
  close_socket(link);
  if (connect_socket(link) != OK) {
    log_error("broker_not_connected", log_text("reason", fail_reason()));
  }
  return true;
}

int64_t link_due_ms(const struct link *link) {
  return link->asked_ms == 0 ? INT64_MAX : link->asked_ms + link->silence_ms;
}

bool link_alive(const struct link *link) { return link->heard && link->silent == 0; }
