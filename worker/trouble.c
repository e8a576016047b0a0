/* trouble.c - two flags with their words, and when to ask again. */
#include "worker/trouble.h"

#include <stdio.h>
#include <string.h>

#include "base/backoff.h"
#include "monitoring/log.h"

enum { STORE_FIRST_MS = 200, STORE_MAX_MS = 5000 };

/* They go into messages, where all text is UTF-8; a path in them may be anything. */
static void keep_words(char words[TROUBLE_BYTES_MAX], const char *reason) {
  snprintf(words, TROUBLE_BYTES_MAX, "%s", reason);
  for (char *at = words; *at != '\0'; at++) {
    *at = *at >= ' ' && *at < 0x7f ? *at : '?';
  }
}

void store_answered(struct store_watch *store) {
  if (store->away) {
    log_event("store_back", log_number("tries", store->tries));
  }
  *store = (struct store_watch){.proven = true};
}

/* Said once per change: how often it is asked meanwhile is no news. */
static void tell(const struct store_watch *store, bool first, const char *reason) {
  if (first || strcmp(store->words, reason) != 0) {
    log_warning(store->refused ? "store_refuses" : "store_away", log_text("reason", reason));
  }
}

void store_failed(struct store_watch *store, enum status status, const char *reason,
                  int64_t retry_after_ms, int64_t now_ms) {
  bool refused = status != UNAVAILABLE;
  bool first = !store->away || store->refused != refused;
  int64_t wait_ms = backoff_ms(STORE_FIRST_MS, STORE_MAX_MS, ++store->tries);
  store->away = true;
  store->refused = refused;
  store->asking = false;
  store->due_ms = now_ms + wait_ms / 2 + backoff_jitter_ms(wait_ms / 2) + retry_after_ms;
  char words[TROUBLE_BYTES_MAX];
  keep_words(words, reason);
  tell(store, first, words);
  memcpy(store->words, words, sizeof words);
}

void spool_watch_told(struct spool_watch *spool, bool spooled, const char *reason) {
  if (spooled != spool->full) {
    return; /* as it was */
  }
  if (spooled) {
    log_event("spool_has_room");
  }
  spool->full = !spooled;
  keep_words(spool->words, spooled ? "" : reason);
}

void trouble_write(const struct store_watch *store, const struct spool_watch *spool,
                   char text[TROUBLE_BYTES_MAX]) {
  text[0] = '\0';
  if (spool->full) {
    snprintf(text, TROUBLE_BYTES_MAX, "the spool takes no pictures: %.300s", spool->words);
  } else if (store->away) {
    snprintf(text, TROUBLE_BYTES_MAX, "the store %s: %.300s",
             store->refused ? "refuses" : "is away", store->words);
  }
}
