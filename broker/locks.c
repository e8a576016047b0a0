/* locks.c - what the transport has proved of a message's sender, held against the keyring. */
#include "broker/locks.h"

#include "base/clock.h"
#include "broker/zap.h"
#include "monitoring/metrics.h"

enum status locks_open(struct locks *locks, void *context, const struct key_pair *key,
                       const char *keyring) {
  *locks = (struct locks){.key = key};
  if (key == NULL) {
    return OK;
  }
  TRY(keyholders_open(keyring, &locks->keyholders));
  return zap_open(context, &locks->questions);
}

void locks_shut(struct locks *locks) { zap_close(&locks->questions); }

void locks_close(struct locks *locks) { keyholders_close(&locks->keyholders); }

enum status locks_lock(const struct locks *locks, void *router) {
  return locks->key != NULL ? keys_lock_broker(router, locks->key) : OK;
}

bool locks_tend(struct locks *locks, int64_t now_ms) {
  if (locks->questions == NULL) {
    return false;
  }
  bool revoked = keyholders_tend(locks->keyholders, now_ms, clock_wall_ms());
  zap_answer(locks->questions, locks->keyholders);
  return revoked;
}

/* What libzmq draws for a connection that chooses none: a zero and 32 bits (router.cpp). A routing
 * id that its peer has chosen can be chosen by another one, too, who would then get its answers. */
static bool is_drawn(const struct wire_address *address) {
  return address->identity_bytes == 5 && address->identity[0] == 0;
}

/* An open door asks nobody who he is, and believes nobody who says so by himself: a peer there may
 * write what it likes into its greeting.
 *
 * Three locks, each of which would do: the domain is enforced, so libzmq lets nobody in unasked;
 * what came by tcp:// without a key's name on it is refused all the same; and a key is looked up
 * with every message, so that what was let in before its key was revoked is refused after. */
enum status locks_who(const struct locks *locks, const struct wire_message *message,
                      struct identity **who, struct refusal *why) {
  struct identity *found = NULL;
  if (locks->questions != NULL && message->remote) {
    found = keyholders_find(locks->keyholders, message->user);
    if (found == NULL) {
      metric_add_labelled(M_REQUESTS_FORBIDDEN, "revoked", 1);
      return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FORBIDDEN, NULL, NULL,
                    "the key is not in the broker's keyring, or no longer");
    }
    if (!is_drawn(&message->from)) {
      return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_MALFORMED, NULL, NULL,
                    "a connection with a key chooses no routing id");
    }
  }
  *who = found;
  return OK;
}

void locks_enter(struct identity *who) {
  if (who != NULL) {
    keyholders_take(who);
  }
}

void locks_leave(struct locks *locks, struct identity *who) {
  if (who != NULL) {
    keyholders_give_back(locks->keyholders, who);
  }
}
