/* redis_away.c - the way back to AWAY, from wherever a connection failed: the ground on which
 * connecting and the pipeline stand. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "broker/redis_inside.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum { PAUSE_MS_MAX = 2000, REFUSED_PAUSE_MS = 5000 };

/* Said once for each reason, so that a long outage is one line and a changing one is followed. */
void redis_say_away(struct redis *redis) {
  if (redis->stage == UP || strcmp(redis->why, fail_reason()) != 0) {
    log_warning("redis_away", log_text("reason", fail_reason()));
  }
  snprintf(redis->why, sizeof redis->why, "%s", fail_reason());
}

/* A name with several addresses: the next is tried at once. After the last, or when a connection
 * that worked is lost, the name is resolved anew: it may lead elsewhere by then. Pauses grow so
 * that a Redis that struggles is not stormed. */
void redis_go_away(struct redis *redis) {
  bool next = (redis->stage == GREETING || redis->stage == BOOTING) && !redis->refused &&
              redis->address_next < redis->addresses.count;
  redis_say_away(redis);
  if (redis->stage == UP) {
    redis->away_since_ms = clock_ms();
  }
  redis->stage = AWAY;
  redis->subscribed = false;
  connection_close(&redis->commands);
  connection_close(&redis->events);
  metric_set(M_REDIS_UP, 0);
  redis->retry_ms = clock_ms();
  if (!next) {
    redis->addresses.count = redis->address_next = 0;
    redis->retry_ms += redis->refused ? REFUSED_PAUSE_MS : redis->pause_ms;
    redis->pause_ms = redis->pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : redis->pause_ms * 2;
  }
}
