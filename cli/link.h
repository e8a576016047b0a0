/* link.h - the client's way to the brokers: one at a time, another when it is silent.
 *
 * Brokers are equal and hold nothing, so any request may be repeated at any of them: reads change
 * nothing, and what changes something names a job by the client's own id.
 */
#ifndef DARKROOM_CLI_LINK_H
#define DARKROOM_CLI_LINK_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "proto/refusal.h"
#include "proto/wire.h"

#define LINK_ANSWER_MS 5000 /* a broker that takes longer is taken for silent */

struct link;

/* endpoints is "tcp://a:7700,ipc:///run/b"; connecting happens at the first send. key is a file,
 * NULL: none. */
enum status link_open(const char *endpoints, const char *key, struct link **out);
void link_close(struct link **link);

/* Sends once to the broker at hand, waiting at most wait_ms for it to be reachable. UNAVAILABLE: it
 * is not. */
enum status link_send(struct link *link, enum wire_verb verb, uint64_t correlation,
                      const ProtobufCMessage *message, int64_t wait_ms);

/* Waits at most wait_ms for a message; message->got says what came. A signal ends the wait early.
 * UNAVAILABLE: the broker says more than any fleet needs; it is left, with all that it said. */
enum status link_receive(struct link *link, int64_t wait_ms, struct wire_message *message);

/* Unpacks what was received; what cannot be read is MALFORMED, whatever is wrong: it is not the
 * user's fault. */
enum status link_unpack(const struct wire_message *message, struct arena *arena,
                        ProtobufCMessage **payload, struct refusal *why);

/* Before a time in which nobody reads: closes the connection, so that nothing piles up in it. The
 * next send or receive opens it again. */
void link_rest(struct link *link);

/* Leaves the broker at hand for the next one of the list (or for itself, connected anew). */
void link_next(struct link *link);

/* The endpoint at hand, for messages. */
const char *link_endpoint(const struct link *link);

/* How long the broker at hand may take to answer when all of them together have patience_ms: a
 * share, so that each of the list is asked within it; at most LINK_ANSWER_MS. */
int64_t link_share_ms(const struct link *link, int64_t patience_ms);

/* A number that no earlier request of this process carried. */
uint64_t link_correlation(struct link *link);

/* How long to wait before a refused request is sent again, by the broker's word and within reason;
 * -1 when repeating it cannot help. */
int64_t link_pause_ms(const struct refusal *why);

struct question {
  enum wire_verb verb;
  const ProtobufCMessage *message;
  enum wire_verb answer;
  int64_t patience_ms;
};

/* One request, one answer, through any broker. BAD_INPUT: refused, *why says so; UNAVAILABLE: none
 * answered in time. The answer lives in arena. */
enum status link_ask(struct link *link, const struct question *question, struct arena *arena,
                     ProtobufCMessage **answer, struct refusal *why);

#endif
