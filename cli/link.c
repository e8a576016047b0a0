/* link.c - a DEALER to one broker of the list. */
#include "cli/link.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "proto/context.h"
#include "proto/endpoint.h"

#define LINK_BYTES_MAX ((size_t)16 * 1024)
#define CONNECT_MS 1000  /* until a broker that does not take the connection is passed over */
#define RETRY_MS_MIN 100 /* between two tries, also when a broker says 0 */
#define RETRY_MS_MAX 5000

struct link {
  struct arena *arena; /* holds this */
  void *context;
  void *socket; /* NULL between brokers */
  char text[ENDPOINTS_BYTES_MAX];
  const char *endpoint[ENDPOINTS_MAX];
  size_t count;
  size_t at;
  uint64_t correlation;
  struct wire_meter meter;
};

/* Each is looked at now, so that a typing error in the last one is known before it is needed. */
static enum status endpoints_read(struct link *link, const char *endpoints) {
  if (strlen(endpoints) >= sizeof link->text) {
    return fail_field(BAD_INPUT, "broker", "--broker: longer than %zu bytes",
                      sizeof link->text - 1);
  }
  snprintf(link->text, sizeof link->text, "%s", endpoints);
  TRY(text_split("broker", link->text, ENDPOINTS_MAX, link->endpoint, &link->count));
  for (size_t i = 0; i < link->count; i++) {
    char endpoint[ENDPOINT_BYTES_MAX];
    TRY(endpoint_read("broker", link->endpoint[i], endpoint));
  }
  return OK;
}

enum status link_open(const char *endpoints, struct link **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, LINK_BYTES_MAX, &arena));
  struct link *link = arena_take_zeroed(arena, sizeof *link);
  if (link == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  link->arena = arena;
  enum status status = endpoints_read(link, endpoints);
  if (status != OK) {
    arena_close(&arena);
    return status;
  }
  *out = link;
  return OK;
}

static void disconnect(struct link *link, int64_t wait_ms) {
  if (link->socket != NULL) {
    zmq_close(link->socket);
    link->socket = NULL;
  }
  context_close(&link->context, wait_ms);
}

/* The socket's linger lets a last CANCEL out, for at most a second. */
void link_close(struct link **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct link *link = *pointer;
  struct arena *arena = link->arena;
  disconnect(link, CONTEXT_CLOSE_MS);
  arena_close(&arena);
  *pointer = NULL;
}

const char *link_endpoint(const struct link *link) { return link->endpoint[link->at]; }

uint64_t link_correlation(struct link *link) { return ++link->correlation; }

void link_next(struct link *link) {
  disconnect(link, 0);
  link->at = (link->at + 1) % link->count;
}

/* IMMEDIATE: nothing is queued for a broker that is not there, so that POLLOUT means connected. */
static enum status connect_socket(struct link *link) {
  if (link->socket != NULL) {
    return OK;
  }
  TRY(context_open(&link->context));
  void *socket = zmq_socket(link->context, ZMQ_DEALER);
  if (socket == NULL) {
    enum status failed = fail(BROKEN, "zmq: %s", zmq_strerror(errno));
    context_close(&link->context, 0);
    return failed;
  }
  int immediate = 1;
  enum status status = wire_socket_options(socket, WIRE_ROLE_PEER);
  if (status == OK && zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate) != 0) {
    status = fail(BROKEN, "zmq: %s", zmq_strerror(errno));
  }
  char endpoint[ENDPOINT_BYTES_MAX];
  status = status == OK ? endpoint_read("broker", link_endpoint(link), endpoint) : status;
  if (status == OK && zmq_connect(socket, endpoint) != 0) {
    status = fail_field(BAD_INPUT, "broker", "--broker \"%s\": %s", link_endpoint(link),
                        zmq_strerror(errno));
  }
  if (status != OK) {
    zmq_close(socket);
    context_close(&link->context, 0);
    return status;
  }
  link->socket = socket;
  return OK;
}

static bool poll_for(struct link *link, short what, int64_t wait_ms) {
  zmq_pollitem_t item = {.socket = link->socket, .events = what};
  return zmq_poll(&item, 1, wait_ms > 0 ? wait_ms : 0) == 1;
}

enum status link_send(struct link *link, enum wire_verb verb, uint64_t correlation,
                      const ProtobufCMessage *message, int64_t wait_ms) {
  TRY(connect_socket(link));
  if (!poll_for(link, ZMQ_POLLOUT, wait_ms)) {
    return fail(UNAVAILABLE, "no broker answers at %s", link_endpoint(link));
  }
  return wire_send(link->socket, NULL, verb, correlation, message);
}

enum status link_receive(struct link *link, int64_t wait_ms, struct wire_message *message) {
  wire_message_close(message);
  TRY(connect_socket(link));
  if (!poll_for(link, ZMQ_POLLIN, wait_ms)) {
    return OK;
  }
  TRY(wire_receive(link->socket, message));
  if (wire_flooded(&link->meter, message, clock_ms())) {
    wire_message_close(message);
    disconnect(link, 0);
    link->meter = (struct wire_meter){0};
    return fail(UNAVAILABLE, "the broker at %s floods", link_endpoint(link));
  }
  return OK;
}

void link_rest(struct link *link) { disconnect(link, CONTEXT_CLOSE_MS); }

/* asking -------------------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Waits for the message that carries correlation; others are late answers to requests given up.
 * What cannot be read at all comes from a broker of another version. */
static enum status answer_wait(struct link *link, uint64_t correlation, int64_t until_ms,
                               struct wire_message *message) {
  for (int64_t left = until_ms - clock_ms(); left > 0; left = until_ms - clock_ms()) {
    TRY(link_receive(link, left, message));
    bool ours = message->got == WIRE_MESSAGE && message->correlation == correlation;
    if (ours || message->got == WIRE_UNREADABLE) {
      return OK;
    }
  }
  return fail(UNAVAILABLE, "the broker at %s does not answer", link_endpoint(link));
}

enum status link_unpack(const struct wire_message *message, struct arena *arena,
                        ProtobufCMessage **payload, struct refusal *why) {
  enum status status =
      wire_unpack(message->verb, message->payload, message->payload_bytes, arena, payload, why);
  if (status == BAD_INPUT) {
    refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED, NULL, NULL,
           "the broker's %s cannot be read", wire_verb(message->verb)->name);
  }
  return status;
}

static enum status answer_read(const struct wire_message *message, const struct question *question,
                               struct arena *arena, ProtobufCMessage **answer,
                               struct refusal *why) {
  if (message->got == WIRE_UNREADABLE) {
    *why = message->why;
    return fail(BAD_INPUT, "%s", why->message);
  }
  if (message->verb != question->answer && message->verb != WIRE_ERROR) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_VERB, NULL, NULL, "%s was answered with %s",
                  wire_verb(question->verb)->name, wire_verb(message->verb)->name);
  }
  TRY(link_unpack(message, arena, answer, why));
  if (message->verb == WIRE_ERROR) {
    refusal_from_error((const Darkroom__V1__Error *)*answer, why);
    return fail(BAD_INPUT, "%s", why->message);
  }
  return OK;
}

int64_t link_share_ms(const struct link *link, int64_t patience_ms) {
  return smaller(patience_ms / ((int64_t)link->count + 1), LINK_ANSWER_MS);
}

static enum status ask_once(struct link *link, const struct question *question, int64_t until_ms,
                            struct arena *arena, ProtobufCMessage **answer, struct refusal *why) {
  uint64_t correlation = link_correlation(link);
  int64_t now = clock_ms();
  int64_t share_ms = link_share_ms(link, question->patience_ms);
  struct wire_message message = {0};
  TRY(link_send(link, question->verb, correlation, question->message,
                smaller(smaller(CONNECT_MS, share_ms), until_ms - now)));
  enum status status = answer_wait(link, correlation, smaller(until_ms, now + share_ms), &message);
  if (status == OK) {
    status = answer_read(&message, question, arena, answer, why);
  }
  wire_message_close(&message);
  return status;
}

int64_t link_pause_ms(const struct refusal *why) {
  bool passes = why->code == DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE || why->retry_after_ms > 0;
  if (!passes) {
    return -1;
  }
  int64_t wanted = why->retry_after_ms < RETRY_MS_MAX ? (int64_t)why->retry_after_ms : RETRY_MS_MAX;
  return wanted < RETRY_MS_MIN ? RETRY_MS_MIN : wanted;
}

static int64_t pause_after(enum status status, const struct refusal *why) {
  if (status == UNAVAILABLE) {
    return RETRY_MS_MIN;
  }
  return status == BAD_INPUT ? link_pause_ms(why) : -1;
}

enum status link_ask(struct link *link, const struct question *question, struct arena *arena,
                     ProtobufCMessage **answer, struct refusal *why) {
  int64_t until_ms = clock_ms() + question->patience_ms;
  for (;;) {
    *why = (struct refusal){0};
    enum status status = ask_once(link, question, until_ms, arena, answer, why);
    int64_t pause_ms = pause_after(status, why);
    if (status == OK || pause_ms < 0 || clock_ms() + pause_ms >= until_ms) {
      return status;
    }
    link_next(link); /* first: nothing is kept for one that sleeps */
    clock_sleep_ms(pause_ms);
  }
}
