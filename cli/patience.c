/* patience.c - said once, then waited for. */
#include "cli/patience.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/status.h"
#include "cli/show.h"

enum { PAUSE_MS = 250, PAUSE_MS_MAX = 4000 };

void patience_begin(const struct options *options, struct patience *out) {
  *out = (struct patience){.options = options, .heard_ms = clock_ms(), .pause_ms = PAUSE_MS};
}

void patience_ask(struct patience *patience) { patience->pause_ms = PAUSE_MS; }

void patience_heard(struct patience *patience) { patience->heard_ms = clock_ms(); }

static void say_waiting(struct patience *patience) {
  char why[SHOW_SAFE_BYTES_MAX];
  if (!patience->said && !patience->options->quiet) {
    fprintf(stderr, "darkroom: the store is away, asking again (%s)\n",
            show_safe(fail_reason(), why));
  }
  patience->said = true;
}

bool patience_waits(struct patience *patience, int64_t wished_ms) {
  int64_t pause_ms = wished_ms > patience->pause_ms ? wished_ms : patience->pause_ms;
  if (clock_ms() + pause_ms - patience->heard_ms > patience->options->patience_ms) {
    return false;
  }
  say_waiting(patience);
  clock_sleep_ms(pause_ms);
  patience->pause_ms = pause_ms * 2 < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
  return true;
}
