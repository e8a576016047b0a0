/* listing.h - a LIST of more than a page: a page a turn, one list after the other.
 *
 * The largest answer costs Redis and us some milliseconds, and whoever may ask for one may ask for
 * hundreds. So a turn carries one page of one of them, a turn without other requests if there is
 * one, and everybody else's requests lie between the pages.
 */
#ifndef DARKROOM_BROKER_LISTING_H
#define DARKROOM_BROKER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "broker/queue.h"

struct listing;
struct peer;
struct request;
struct turn;

/* Lists that wait, first come first served. {0} is empty. */
struct listings {
  struct listing *first;
  int64_t page_ms; /* when the last page was asked for */
};

/* Takes over the answer to a LIST request, with the room kept for it. states is a set of bits, 1 <<
 * state; 0: all of them. EXHAUSTED without memory. */
enum status listing_add(struct turn *turn, struct request *request, uint32_t states, size_t limit);

/* Adds a page to the requests of a turn that is quiet, or when the last page was some while ago;
 * nothing when no list waits. While Redis is away those that wait are refused. */
void listing_ask(struct turn *turn, bool quiet);

/* A list waits: the next turn need not wait for anything else. */
bool listing_waits(const struct listings *listings);

/* Forgets the lists of a connection that has closed; of all of them. */
void listing_closed(struct turn *turn, uint64_t caller);
void listing_close(struct listings *listings);

/* Sends the rows of one page, newest first, as many as fit into a frame. */
enum status listing_send(struct turn *turn, const struct peer *peer, const struct listed *listed,
                         size_t count);

#endif
