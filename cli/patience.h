/* patience.h - how long a store that is away is asked again: a person's patience. */
#ifndef DARKROOM_CLI_PATIENCE_H
#define DARKROOM_CLI_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"

struct patience {
  const struct options *options; /* borrowed: patience, quiet */
  int64_t heard_ms;              /* when the store last answered; at first, the beginning */
  int64_t pause_ms;              /* before the next try */
  bool said;                     /* that it is waited for */
};

void patience_begin(const struct options *options, struct patience *out);
/* Something else is asked: pauses are short again. */
void patience_ask(struct patience *patience);
/* The store has answered. */
void patience_heard(struct patience *patience);
/* It was away, as fail_reason() says. True after a pause, at least as long as it wished for, twice
 * as long each time: to be asked again. False at once when it would have been silent for longer
 * than patience-ms. */
bool patience_waits(struct patience *patience, int64_t wished_ms);

#endif
