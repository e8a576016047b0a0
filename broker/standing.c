/* standing.c - a row for each script, written at every reply and read at every /readyz. */
#include "broker/standing.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* "worker_hello", "a trial write" or "events". */
static const char *standing_name(size_t index) {
  return index == STANDING_EVENTS ? "events"
         : index == SCRIPT_TRIAL  ? "a trial write"
                                  : scripts[index].name;
}

/* The trial has shown that everything is permitted and that writes are taken: a refusal of another
 * script for such a reason is over. What is our own fault it cannot show; that is over when it has
 * not come again for a while. */
static void forget_old(struct standing *standing) {
  int64_t now = clock_ms();
  for (size_t i = 0; i < SCRIPTS_COUNT; i++) {
    bool shown = standing->row[i].class != REDIS_OURS;
    if (shown || now - standing->row[i].last_ms > STANDING_FORGET_MS) {
      standing->row[i] = (struct standing_row){0};
    }
  }
}

void standing_worked(struct standing *standing, size_t index) {
  standing->row[index].since_ms = standing->row[index].last_ms = 0;
  if (index == SCRIPT_TRIAL) {
    forget_old(standing);
  }
}

void standing_refused(struct standing *standing, size_t index, enum redis_error_class class,
                      const char *words) {
  struct standing_row *row = &standing->row[index];
  row->last_ms = clock_ms();
  row->since_ms = row->since_ms != 0 ? row->since_ms : row->last_ms;
  row->class = class;
  snprintf(row->words, sizeof row->words, "%.*s", (int)strcspn(words, "\r\n"), words);
}

bool standing_is_good(const struct standing *standing, char *line, size_t bytes) {
  size_t refused = 0, oldest = 0;
  for (size_t i = 0; i < STANDING_ROWS; i++) {
    if (standing->row[i].since_ms == 0) {
      continue;
    }
    if (refused++ == 0 || standing->row[i].since_ms < standing->row[oldest].since_ms) {
      oldest = i;
    }
  }
  line[0] = '\0';
  if (refused > 0) {
    const struct standing_row *row = &standing->row[oldest];
    char others[40] = "";
    if (refused > 1) {
      snprintf(others, sizeof others, " (and %zu more)", refused - 1);
    }
    snprintf(line, bytes, "Redis refuses %s%s for %lld s (%s): %s", standing_name(oldest), others,
             (long long)(clock_ms() - row->since_ms) / 1000, redis_error_class(row->class)->name,
             row->words);
  }
  return refused == 0;
}
