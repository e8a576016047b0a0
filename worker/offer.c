/* offer.c - one thing that is said until it is answered. */
#include "worker/offer.h"

#include "base/backoff.h"

enum {
  ANSWER_MS = 2000, /* an offer that is not answered by then is said again */
  RETRY_FIRST_MS = 200,
  RETRY_MAX_MS = 5000,
};

void offer_open(struct offer *offer, enum wire_verb verb) { *offer = (struct offer){.verb = verb}; }

void offer_said(struct offer *offer, uint64_t correlation, int64_t now_ms) {
  offer->correlation = correlation;
  offer->tries++;
  offer->due_ms = now_ms + ANSWER_MS;
}

/* A broker's wish beyond our own longest wait is not followed: it may be a broken one's, and there
 * are others. */
void offer_again(struct offer *offer, int64_t now_ms, uint64_t at_least_ms) {
  int64_t wait = backoff_ms(RETRY_FIRST_MS, RETRY_MAX_MS, offer->tries);
  if (at_least_ms < RETRY_MAX_MS && wait < (int64_t)at_least_ms) {
    wait = (int64_t)at_least_ms;
  }
  offer->due_ms = now_ms + wait / 2 + backoff_jitter_ms(wait / 2);
}
