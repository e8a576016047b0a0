/* link.c - a DEALER to one broker of the list. */
#include "cli/link.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "proto/context.h"
#include "proto/dealer.h"

#define LINK_BYTES_MAX ((size_t)16 * 1024)
#define CONNECT_MS 1000  /* until a broker that does not take the connection is passed over */
#define RETRY_MS_MIN 100 /* between two tries, also when a broker says 0 */
#define RETRY_MS_MAX 5000

struct link {
  struct arena *arena; /* holds this */
  char text[ENDPOINTS_BYTES_MAX];
  const char *endpoint[ENDPOINTS_MAX];
  size_t count;
  struct key_pair key;
  struct dealer dealer;
};

/* Its own copy of the list, taken apart; the key, when there is one, read. */
static enum status read_settings(struct link *link, const char *endpoints, const char *key) {
  if (strlen(endpoints) >= sizeof link->text) {
    return fail_field(BAD_INPUT, "broker", "--broker: longer than %zu bytes",
                      sizeof link->text - 1);
  }
  snprintf(link->text, sizeof link->text, "%s", endpoints);
  TRY(text_split("broker", link->text, ENDPOINTS_MAX, link->endpoint, &link->count));
  enum status status = key != NULL ? keys_read("key", key, true, &link->key) : OK;
  if (status != OK) {
    return status == UNAVAILABLE ? BAD_INPUT
                                 : status; /* a file that is not there is a wrong word */
  }
  struct dealer_options options = {link->endpoint, link->count, key != NULL ? &link->key : NULL,
                                   true};
  return dealer_open(&link->dealer, &options);
}

enum status link_open(const char *endpoints, const char *key, struct link **out) {
  struct arena *arena = NULL;
  TRY(arena_open(NULL, LINK_BYTES_MAX, &arena));
  struct link *link = arena_take_zeroed(arena, sizeof *link);
  if (link == NULL) {
    arena_close(&arena);
    return EXHAUSTED;
  }
  link->arena = arena;
  enum status status = read_settings(link, endpoints, key);
  if (status != OK) {
    arena_close(&arena);
    return status;
  }
  *out = link;
  return OK;
}

/* The socket's linger lets a last CANCEL out, for at most a second. */
void link_close(struct link **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct link *link = *pointer;
  struct arena *arena = link->arena;
  dealer_disconnect(&link->dealer, CONTEXT_CLOSE_MS);
  arena_close(&arena);
  *pointer = NULL;
}

const char *link_endpoint(const struct link *link) { return dealer_endpoint(&link->dealer); }

uint64_t link_correlation(struct link *link) { return dealer_correlation(&link->dealer); }

void link_next(struct link *link) { dealer_next(&link->dealer); }

/* False when it did not come to that, or will not: a lock that does not open is known at once. */
static bool poll_for(struct link *link, short what, int64_t wait_ms) {
  zmq_pollitem_t items[] = {{.socket = link->dealer.socket, .events = what},
                            {.socket = link->dealer.monitor, .events = ZMQ_POLLIN}};
  int64_t until_ms = clock_ms() + (wait_ms > 0 ? wait_ms : 0);
  for (int64_t left = until_ms - clock_ms();; left = until_ms - clock_ms()) {
    if (zmq_poll(items, 2, left > 0 ? left : 0) < 0) {
      return false; /* a signal */
    }
    if (items[0].revents != 0 || dealer_locked(&link->dealer) != DEALER_WELCOME || left <= 0) {
      return items[0].revents != 0;
    }
  }
}

/* Why nothing came, as far as it is known. */
static enum status silent(struct link *link, const char *what) {
  enum dealer_locked locked = dealer_locked(&link->dealer);
  return locked != DEALER_WELCOME
             ? fail(UNAVAILABLE, "%s: %s", link_endpoint(link), dealer_locked_text(locked))
             : fail(UNAVAILABLE, "%s at %s", what, link_endpoint(link));
}

enum status link_send(struct link *link, enum wire_verb verb, uint64_t correlation,
                      const ProtobufCMessage *message, int64_t wait_ms) {
  TRY(dealer_connect(&link->dealer));
  if (!poll_for(link, ZMQ_POLLOUT, wait_ms)) {
    return silent(link, "no broker answers");
  }
  return wire_send(link->dealer.socket, NULL, verb, correlation, message);
}

enum status link_receive(struct link *link, int64_t wait_ms, struct wire_message *message) {
  wire_message_close(message);
  TRY(dealer_connect(&link->dealer));
  return poll_for(link, ZMQ_POLLIN, wait_ms) ? dealer_receive(&link->dealer, message) : OK;
}

void link_rest(struct link *link) { dealer_disconnect(&link->dealer, CONTEXT_CLOSE_MS); }

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
  return silent(link, "no answer from the broker");
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
