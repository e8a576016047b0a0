/* identity.h - who is at the other end of a connection: what the handshake has proved, and what
 * that one may say. No message changes it.
 */
#ifndef DARKROOM_BROKER_IDENTITY_H
#define DARKROOM_BROKER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/shares.h"
#include "proto/keyring.h"
#include "proto/refusal.h"
#include "proto/wire.h"

/* What all keys of a tenant share at this broker. */
struct tenant {
  char name[JOB_ID_BYTES_MAX + 1];
  size_t holders; /* identities that point here */
  struct shares shares;
  size_t watches;
  struct tenant *chain;
};

struct identity {
  struct keyring_row row;
  struct tenant *tenant; /* NULL: of an open door, where nothing is counted */
  bool revoked;          /* its row is gone, or another now */
  size_t holders;        /* the table and connections */
  size_t connections;
};

/* Whoever comes through a door that is open: tenant "default", every role, any worker's name. */
extern const struct identity identity_open;

/* Whether this one may say the verb. FORBIDDEN names the role that it would take. */
enum status identity_may_say(const struct identity *who, const struct wire_verb_row *verb,
                             struct refusal *why);
/* Whether a worker's name is its own; model is one it may offer. FORBIDDEN otherwise. */
enum status identity_may_be(const struct identity *who, const char *worker, struct refusal *why);
enum status identity_may_offer(const struct identity *who, const char *model, struct refusal *why);
/* Whose jobs a message is about: its own tenant's; of an operator, the one it names. FORBIDDEN: it
 * names another's and is none. *tenant is borrowed from either. */
enum status identity_tenant(const struct identity *who, const char *named, const char **tenant,
                            struct refusal *why);

#endif
