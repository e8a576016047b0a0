/* shares.h - how much a connection, and a tenant through all of its connections, may ask for a
 * second. Only who comes with a key is counted; workers' verbs are not: they follow from the jobs
 * that they hold.
 */
#ifndef DARKROOM_BROKER_SHARES_H
#define DARKROOM_BROKER_SHARES_H

#include <stdint.h>

#include "broker/allowance.h"
#include "proto/refusal.h"

struct identity;

/* Settings: what a connection and what a tenant may have a second, unless a key's row says
 * otherwise for its connections. 0: no bound. */
struct shares_settings {
  int64_t client_messages, client_kib, tenant_messages, tenant_kib;
};

/* What one connection, or one tenant, has had. */
struct shares {
  struct allowance messages, bytes;
};

/* Takes one message of so many bytes that counts as `messages` of them, off both or off neither.
 * EXHAUSTED fills why with retry_after_ms. own NULL: the connection has gone, and nothing is
 * taken. */
enum status shares_take(const struct shares_settings *settings, struct shares *own,
                        const struct identity *who, uint64_t messages, uint64_t bytes,
                        struct refusal *why);

#endif
