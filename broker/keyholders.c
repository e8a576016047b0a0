/* keyholders.c - identities made of rows; those whose row has not changed stay, with all that their
 * connections point to. */
#include "broker/keyholders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/hash.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"

enum { TENANT_BUCKETS = 1024 };

struct keyholders {
  const char *path;
  struct stat seen; /* of the file that was read last, good or not */
  int64_t look_ms;
  struct identity **identity; /* by key */
  size_t count;
  struct tenant *tenant[TENANT_BUCKETS];
};

/* ---- tenants --------------------------------------------------------------------------------- */

static struct tenant **bucket_of(struct keyholders *keyholders, const char *name) {
  return &keyholders->tenant[hash_on(HASH_START, name, strlen(name)) % TENANT_BUCKETS];
}

static struct tenant *hold_tenant(struct keyholders *keyholders, const char *name) {
  struct tenant **bucket = bucket_of(keyholders, name);
  struct tenant *tenant = *bucket;
  while (tenant != NULL && strcmp(tenant->name, name) != 0) {
    tenant = tenant->chain;
  }
  if (tenant == NULL && (tenant = calloc(1, sizeof *tenant)) != NULL) {
    memcpy(tenant->name, name, strlen(name) + 1);
    tenant->chain = *bucket;
    *bucket = tenant;
  }
  if (tenant != NULL) {
    tenant->holders++;
  }
  return tenant;
}

static void let_tenant_go(struct keyholders *keyholders, struct tenant *tenant) {
  if (--tenant->holders == 0) {
    struct tenant **link = bucket_of(keyholders, tenant->name);
    while (*link != tenant) {
      link = &(*link)->chain;
    }
    *link = tenant->chain;
    free(tenant);
  }
}

/* ---- identities ------------------------------------------------------------------------------ */

void keyholders_take(struct identity *identity) {
  identity->holders++;
  identity->connections++;
}

static void let_go(struct keyholders *keyholders, struct identity *identity) {
  if (--identity->holders == 0) {
    let_tenant_go(keyholders, identity->tenant);
    free(identity);
  }
}

void keyholders_give_back(struct keyholders *keyholders, struct identity *identity) {
  identity->connections--;
  let_go(keyholders, identity);
}

static int by_key(const void *key, const void *member) {
  return strcmp(key, (*(struct identity *const *)member)->row.key);
}

struct identity *keyholders_find(const struct keyholders *keyholders, const char *key) {
  struct identity **found =
      keyholders->count > 0
          ? bsearch(key, keyholders->identity, keyholders->count, sizeof *found, by_key)
          : NULL;
  return found != NULL && !(*found)->revoked ? *found : NULL;
}

static struct identity *make(struct keyholders *keyholders, const struct keyring_row *row) {
  struct identity *identity = calloc(1, sizeof *identity);
  struct tenant *tenant = identity != NULL ? hold_tenant(keyholders, row->tenant) : NULL;
  if (tenant == NULL) {
    free(identity);
    return NULL;
  }
  identity->row = *row;
  identity->tenant = tenant;
  identity->holders = 1;
  return identity;
}

/* The identity of a row: the one there is when nothing but its end has changed, else a new one. */
static struct identity *adopt(struct keyholders *keyholders, const struct keyring_row *row) {
  struct identity *there = keyholders_find(keyholders, row->key);
  if (there != NULL && keyring_same(&there->row, row)) {
    there->row.until_s = row->until_s;
    there->holders++;
    return there;
  }
  return make(keyholders, row);
}

static void drop_all(struct keyholders *keyholders, struct identity **identities, size_t count) {
  for (size_t i = 0; i < count; i++) {
    let_go(keyholders, identities[i]);
  }
  free(identities);
}

/* Whose only holders are connections is in no row any more. True when there is such a one. */
static bool revoke_the_rest(struct keyholders *keyholders) {
  bool any = false;
  for (size_t i = 0; i < keyholders->count; i++) {
    struct identity *identity = keyholders->identity[i];
    bool kept = identity->holders > identity->connections + 1;
    if (!kept && !identity->revoked) {
      identity->revoked = any = true;
      log_event("key_revoked", log_text("key", identity->row.name),
                log_text("tenant", identity->row.tenant),
                log_count("connections", identity->connections));
    }
  }
  return any;
}

/* From the rows as they are sorted: by key. All of the new ones are there before one of the old
 * goes. */
static enum status exchange(struct keyholders *keyholders, const struct keyring *keyring,
                            bool *revoked) {
  struct identity **made = calloc(keyring->count + 1, sizeof *made);
  for (size_t i = 0; made != NULL && i < keyring->count; i++) {
    made[i] = adopt(keyholders, &keyring->row[i]);
    if (made[i] == NULL) {
      drop_all(keyholders, made, i);
      made = NULL;
    }
  }
  if (made == NULL) {
    return fail(EXHAUSTED, "no memory for %zu keys", keyring->count);
  }
  *revoked = revoke_the_rest(keyholders);
  drop_all(keyholders, keyholders->identity, keyholders->count);
  keyholders->identity = made;
  keyholders->count = keyring->count;
  return OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
         a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum status read_file(struct keyholders *keyholders, bool *revoked) {
  struct keyring keyring;
  TRY(keyring_read(keyholders->path, &keyring));
  enum status status = exchange(keyholders, &keyring, revoked);
  keyring_close(&keyring);
  return status;
}

/* Read again when it is another file, or the same one with another time or size: an editor's or a
 * rename's, and what a mounted secret of a container becomes. One that cannot be read is tried
 * again with each look. */
static bool read_again(struct keyholders *keyholders) {
  struct stat now = {0};
  bool revoked = false;
  bool there = stat(keyholders->path, &now) == 0;
  if (there && same_file(&now, &keyholders->seen)) {
    return false;
  }
  enum status status = read_file(keyholders, &revoked);
  metric_set(M_KEYRING_GOOD, status == OK ? 1 : 0);
  if (status == OK) {
    log_event("keyring_read", log_count("keys", keyholders->count));
  } else {
    log_error("keyring_refused", log_text("file", keyholders->path),
              log_text("reason", fail_reason()), log_text("instead", "the last good one holds"));
  }
  bool tried = status == OK || status == BAD_INPUT;
  keyholders->seen = there && tried ? now : (struct stat){0}; /* the same one again is news, too */
  return revoked;
}

/* A key of which the file says until when ends by itself. */
static bool end_those_whose_time_is_over(struct keyholders *keyholders, int64_t wall_ms) {
  bool any = false;
  for (size_t i = 0; i < keyholders->count; i++) {
    struct identity *identity = keyholders->identity[i];
    bool over = identity->row.until_s != 0 && wall_ms >= identity->row.until_s * 1000;
    if (over && !identity->revoked) {
      identity->revoked = any = true;
      log_event("key_ended", log_text("key", identity->row.name),
                log_text("tenant", identity->row.tenant),
                log_count("connections", identity->connections));
    }
  }
  return any;
}

bool keyholders_tend(struct keyholders *keyholders, int64_t now_ms, int64_t wall_ms) {
  if (now_ms < keyholders->look_ms) {
    return false;
  }
  keyholders->look_ms = now_ms + KEYRING_LOOK_MS;
  bool revoked = read_again(keyholders);
  return end_those_whose_time_is_over(keyholders, wall_ms) || revoked;
}

enum status keyholders_open(const char *path, struct keyholders **out) {
  struct keyholders *keyholders = calloc(1, sizeof *keyholders);
  bool revoked = false;
  if (keyholders == NULL) {
    return fail(EXHAUSTED, "no memory for a keyring");
  }
  keyholders->path = path;
  (void)stat(path, &keyholders->seen);
  enum status status = read_file(keyholders, &revoked);
  if (status != OK) {
    char why[256];
    snprintf(why, sizeof why, "%s", fail_reason());
    keyholders_close(&keyholders);
    return fail_field(status, "keyring", "--keyring %.200s: %s", path, why);
  }
  (void)end_those_whose_time_is_over(keyholders, clock_wall_ms());
  metric_set(M_KEYRING_GOOD, 1);
  log_event("keyring_read", log_count("keys", keyholders->count));
  *out = keyholders;
  return OK;
}

void keyholders_close(struct keyholders **pointer) {
  struct keyholders *keyholders = *pointer;
  if (keyholders != NULL) {
    drop_all(keyholders, keyholders->identity, keyholders->count);
    free(keyholders);
    *pointer = NULL;
  }
}
