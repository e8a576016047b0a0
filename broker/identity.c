/* identity.c - each rule of who may do what, once. */
#include "broker/identity.h"

#include <string.h>

#include "proto/job.h"

const struct identity identity_open = {
    .row = {.name = "open",
            .tenant = KEYRING_TENANT_STANDARD,
            .roles = ROLES_ALL,
            .worker_begins = true},
};

#define FORBIDDEN DARKROOM__V1__ERROR_CODE__ERROR_FORBIDDEN

enum status identity_may_say(const struct identity *who, const struct wire_verb_row *verb,
                             struct refusal *why) {
  char needed[ROLES_TEXT_BYTES], has[ROLES_TEXT_BYTES];
  if ((verb->roles & who->row.roles) != 0) {
    return OK;
  }
  roles_text(verb->roles, " or ", needed);
  return refuse(why, FORBIDDEN, NULL, needed, "%s needs a key with the role %s; %s has %s",
                verb->name, needed, who->row.name, roles_text(who->row.roles, ", ", has));
}

/* A default model is anybody's to say where doors are open. */
static bool is_open(const struct identity *who) { return who->tenant == NULL; }

enum status identity_may_be(const struct identity *who, const char *worker, struct refusal *why) {
  if (keyring_owns_worker(&who->row, worker)) {
    return OK;
  }
  return refuse(why, FORBIDDEN, "worker", who->row.worker,
                "the name %s is not this key's: %s is for %s%s", worker, who->row.name,
                who->row.worker, who->row.worker_begins ? "*" : "");
}

enum status identity_may_offer(const struct identity *who, const char *model, struct refusal *why) {
  if (is_open(who) || keyring_has_model(&who->row, model)) {
    return OK;
  }
  return refuse(why, FORBIDDEN, "model", who->row.models, "%s may not offer the model %s",
                who->row.name, model);
}

enum status identity_tenant(const struct identity *who, const char *named, const char **tenant,
                            struct refusal *why) {
  bool own = named == NULL || strcmp(named, who->row.tenant) == 0;
  if (!own && (who->row.roles & ROLE_OPERATE) == 0) {
    return refuse(why, FORBIDDEN, "tenant", "operate",
                  "jobs of another tenant need a key with the role operate");
  }
  if (!own && !job_id_valid(named)) {
    return refuse(why, DARKROOM__V1__ERROR_CODE__ERROR_FIELD, "tenant", "1..64 of [A-Za-z0-9._-]",
                  "tenant is no name");
  }
  *tenant = own ? who->row.tenant : named;
  return OK;
}
