/* dealer.h - a peer's connection to the brokers: one of a list at a time, in a context of its own.
 *
 * What cli/link and worker/link have in common: endpoints that are looked at before they are
 * needed, a DEALER that is thrown away with all that waits in it whenever the broker changes, a
 * bound on what a broker may say, and the key. Who is silent, and what is then said again, is for
 * the two of them.
 */
#ifndef DARKROOM_PROTO_DEALER_H
#define DARKROOM_PROTO_DEALER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "proto/keys.h"
#include "proto/wire.h"

/* Why a handshake has failed, as far as the peer's side can tell. */
enum dealer_locked {
  DEALER_WELCOME,     /* nothing is known against it */
  DEALER_KEY_UNKNOWN, /* the broker has answered that the key is not in its keyring */
  DEALER_KEY_ASKED,   /* the broker takes keys and there is none, or the other way round */
};

struct dealer {
  void *context; /* ZeroMQ's, of this connection alone */
  void *socket;  /* NULL while there is none */
  void *monitor;
  const char *const *endpoints;
  size_t count, at;
  const struct key_pair *key; /* NULL: none */
  bool immediate;
  uint64_t correlation; /* the last one given out */
  struct wire_meter meter;
  enum dealer_locked locked;
};

struct dealer_options {
  const char *const *endpoints; /* borrowed; as people write them */
  size_t count;
  const struct key_pair *key; /* borrowed; for tcp:// endpoints. NULL: none */
  bool immediate; /* nothing is queued for a broker that is not there: POLLOUT means connected */
};

/* Connects nowhere yet. BAD_INPUT: one of the endpoints cannot be one, or the key does not say
 * whose the broker's is. */
enum status dealer_open(struct dealer *dealer, const struct dealer_options *options);

/* Connects to the broker at hand, unless it is connected. BAD_INPUT: ZeroMQ cannot read the
 * endpoint; EXHAUSTED: no context to be had now. On failure there is no connection. */
enum status dealer_connect(struct dealer *dealer);
/* Closes the connection with all that waits in it; what was sent has wait_ms to get out. */
void dealer_disconnect(struct dealer *dealer, int64_t wait_ms);
/* Leaves the broker at hand for the next of the list (or for itself); connects nowhere. */
void dealer_next(struct dealer *dealer);

/* Takes the next waiting message. UNAVAILABLE: the broker says more than any fleet needs; it has
 * been disconnected, with all that it said. */
enum status dealer_receive(struct dealer *dealer, struct wire_message *message);

/* The endpoint at hand, as it was written. */
const char *dealer_endpoint(const struct dealer *dealer);
/* A number that no earlier request carried. */
uint64_t dealer_correlation(struct dealer *dealer);

/* What is known of the handshakes since the last dealer_connect. After DEALER_KEY_UNKNOWN ZeroMQ
 * tries no more: disconnect, and connect anew. */
enum dealer_locked dealer_locked(struct dealer *dealer);
/* One line for people; "" for DEALER_WELCOME. Static. */
const char *dealer_locked_text(enum dealer_locked locked);

#endif
