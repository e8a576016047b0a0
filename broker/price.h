/* price.h - what taking up a letter costs the door. */
#ifndef DARKROOM_BROKER_PRICE_H
#define DARKROOM_BROKER_PRICE_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/callers.h"

/* Room kept for the answer, and whether the message is worth nothing when its sender has gone: what
 * only asks, and what only offers. An answer without a row is short. */
struct price {
  enum wire_verb verb;
  size_t bytes;
  bool dies;
};
enum { SHORT_BYTES = 2 * 1024, MIDDLE_BYTES = 16 * 1024 };

/* Never NULL; also of a message that could not be read. */
const struct price *price_of(const struct note *note);

#endif
