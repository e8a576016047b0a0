/* greeting.h - what a fresh connection asks Redis: who it is, whether it keeps what it
 * acknowledges, and our scripts. */
#ifndef DARKROOM_BROKER_GREETING_H
#define DARKROOM_BROKER_GREETING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "broker/connection.h"

struct greeting {
  size_t login; /* replies of AUTH and SELECT still to come */
  size_t taken; /* replies after those */
  char run[64];
  char version[32];
  char eviction[32];    /* maxmemory-policy */
  char aof[8];          /* "1" when appendonly is on */
  char appendfsync[16]; /* "" when Redis does not let us see it */
};

/* Puts all questions into the connection. */
enum status greeting_ask(struct greeting *greeting, struct connection *connection, size_t login);
/* Takes the next reply. UNAVAILABLE: Redis refuses us, or is still loading. */
enum status greeting_take(struct greeting *greeting, const redisReply *reply);
bool greeting_done(const struct greeting *greeting);
/* BAD_INPUT names the setting of Redis that breaks our promises, unless allow_unsafe. */
enum status greeting_judge(const struct greeting *greeting, bool allow_unsafe);

#endif
