/* link.h - the connection to one broker at a time; another one when it falls silent.
 *
 * Knows sockets, correlation numbers and silence; what is said is for offers.c and orders.c.
 * Everything asked may be lost with a broker: whoever asks repeats it.
 */
#ifndef DARKROOM_WORKER_LINK_H
#define DARKROOM_WORKER_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "proto/dealer.h"
#include "proto/wire.h"

struct link {
  struct dealer dealer;
  int64_t silence_ms;
  int64_t asked_ms; /* when the oldest unanswered question was asked, 0: none is open */
  bool heard;       /* a broker has ever said anything */
  int silent;       /* brokers left for their silence since the last one spoke */
  bool flooded;     /* the broker at hand is to be left */
};

/* What options names is borrowed. BAD_INPUT for an endpoint that ZeroMQ cannot read, or a key that
 * is not whole. */
enum status link_open(struct link *link, const struct dealer_options *options, int64_t silence_ms);
void link_close(struct link *link);

/* Sends and expects an answer: gives the correlation number. A message that could not be sent
 * counts as unanswered. */
uint64_t link_ask(struct link *link, enum wire_verb verb, const ProtobufCMessage *message);
/* Sends without expecting an answer now (CLAIM). */
uint64_t link_tell(struct link *link, enum wire_verb verb, const ProtobufCMessage *message);

/* Takes the next waiting message; notes that the broker lives. One that floods is left at once,
 * with all that it said, for the next of the list. */
enum status link_receive(struct link *link, struct wire_message *message);

/* Goes on to the next broker when this one has been silent for too long after a question; true when
 * it did. */
bool link_tend(struct link *link, int64_t now_ms);
int64_t link_due_ms(const struct link *link);
/* Whether the brokers answer, as far as is known. */
bool link_alive(const struct link *link);

#endif
