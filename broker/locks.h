/* locks.h - the locked doors: who is let in, and whose a message is.
 *
 * With a key every tcp:// endpoint is locked, loopback too; ipc:// sockets are guarded by the
 * permissions of their files and stay open.
 */
#ifndef DARKROOM_BROKER_LOCKS_H
#define DARKROOM_BROKER_LOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "broker/keyholders.h"
#include "proto/wire.h"

struct locks {
  void *questions; /* ZAP's; NULL: no door is locked */
  struct keyholders *keyholders;
  const struct key_pair *key;
};

/* key NULL: no door is locked. Binds what libzmq asks, before there is anything to ask. */
enum status locks_open(struct locks *locks, void *context, const struct key_pair *key,
                       const char *keyring);
/* locks_shut goes before the end of the context, locks_close when every connection has left. */
void locks_shut(struct locks *locks);
void locks_close(struct locks *locks);

/* Locks a ROUTER for the endpoints that it binds from now on. */
enum status locks_lock(const struct locks *locks, void *router);

/* Answers handshakes and looks at the keyring; true when a key has been revoked since. */
bool locks_tend(struct locks *locks, int64_t now_ms);

/* Whose message it is: *who NULL through an open door. BAD_INPUT, with why: a key that is no longer
 * known, or a connection that no key is behind where one must be. */
enum status locks_who(const struct locks *locks, const struct wire_message *message,
                      struct identity **who, struct refusal *why);
/* A connection begins, ends. NULL is fine. */
void locks_enter(struct identity *who);
void locks_leave(struct locks *locks, struct identity *who);

#endif
