/* greeting.h - what a fresh connection asks Redis: who it is, whether it takes writes and keeps
 * what it acknowledges, and our scripts.
 */
#ifndef DARKROOM_BROKER_GREETING_H
#define DARKROOM_BROKER_GREETING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
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
  bool skips_fsync;     /* no-appendfsync-on-rewrite is on */
};

/* Puts all questions into the connection, and the SCRIPTS_LOADED scripts. */
enum status greeting_ask(struct greeting *greeting, struct connection *connection,
                         const struct bytes *sources, size_t login);

/* Takes the next reply. UNAVAILABLE: wait, or try another server (loading, busy, a replica).
 * BAD_INPUT: repeating will not help (not permitted, too old, a cluster); the reason is a line. */
enum status greeting_take(struct greeting *greeting, const redisReply *reply);
bool greeting_done(const struct greeting *greeting);

/* BAD_INPUT names the setting of Redis that breaks our promises, unless allow_unsafe. */
enum status greeting_judge(const struct greeting *greeting, bool allow_unsafe);

/* Fails with the class's status and one line: "Redis refuses INFO (busy): BUSY ...". what: "INFO".
 * BAD_INPUT when a broker that starts should leave. */
enum status greeting_refused(const char *what, const redisReply *reply);

#endif
