/* link.c - a DEALER that is thrown away, with all that waits in it, whenever the broker changes. */
#include "worker/link.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "proto/context.h"
#include "proto/endpoint.h"

/* A context for each connection, so that a broker whose name is not resolved keeps nobody from the
 * next one. */
static enum status connect_socket(struct link *link) {
  TRY(context_open(&link->context));
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

static void close_socket(struct link *link, int64_t wait_ms) {
  if (link->socket != NULL) {
    zmq_close(link->socket);
    link->socket = NULL;
  }
  context_close(&link->context, wait_ms);
}

enum status link_open(struct link *link, const char *const *endpoints, size_t count,
                      int64_t silence_ms) {
  *link = (struct link){.endpoints = endpoints, .count = count, .silence_ms = silence_ms};
  /* each is read once, so that a typing error in the last one is known now and not in the night it
   * is needed */
  for (size_t i = 0; i < count; i++) {
    char endpoint[ENDPOINT_BYTES_MAX];
    TRY(endpoint_read("broker", endpoints[i], endpoint));
  }
  return connect_socket(link);
}

void link_close(struct link *link) { close_socket(link, CONTEXT_CLOSE_MS); }

uint64_t link_tell(struct link *link, enum wire_verb verb, const ProtobufCMessage *message) {
  uint64_t correlation = ++link->correlation;
  if (link->socket == NULL) {
    return correlation; /* as good as a broker that is silent */
  }
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
  if (link->socket == NULL) {
    message->got = WIRE_NOTHING;
    return OK;
  }
  TRY(wire_receive(link->socket, message));
  /* only what answers something said here is a sign of life: whoever says anything else is no
   * broker of ours, however much it says */
  bool answers = message->got == WIRE_MESSAGE && message->correlation != 0 &&
                 message->correlation <= link->correlation;
  if (answers) {
    link->heard = true;
    link->silent = 0;
    link->asked_ms = 0;
  }
  if (wire_flooded(&link->meter, message, clock_ms())) {
    wire_message_close(message);
    log_warning("broker_floods", log_text("left", link->endpoints[link->at]));
    close_socket(link, 0);
    link->meter = (struct wire_meter){0};
    link->flooded = true;
  }
  return OK;
}

bool link_tend(struct link *link, int64_t now_ms) {
  bool silent = link->asked_ms != 0 && now_ms - link->asked_ms >= link->silence_ms;
  if (!silent && !link->flooded) {
    return false;
  }
  link->flooded = false;
  link->silent++;
  const char *left = link->endpoints[link->at];
  link->at = (link->at + 1) % link->count;
  if (silent) {
    log_warning("broker_silent", log_text("left", left),
                log_text("next", link->endpoints[link->at]));
  }
  close_socket(link, 0);
  if (connect_socket(link) != OK) {
    close_socket(link, 0); /* the next silence tries again */
    log_error("broker_not_connected", log_text("reason", fail_reason()));
  }
  return true;
}

int64_t link_due_ms(const struct link *link) {
  if (link->flooded) {
    return 0;
  }
  return link->asked_ms == 0 ? INT64_MAX : link->asked_ms + link->silence_ms;
}

bool link_alive(const struct link *link) { return link->heard && link->silent == 0; }
