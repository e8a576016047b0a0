/* store.c - finds the row of a URL's scheme; guards every key before it becomes a path. */
#include "store/store.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "monitoring/log.h"

struct store {
  const struct store_scheme *scheme;
  void *inside;
};

static const struct store_scheme *const schemes[] = {&store_file, &store_s3};
enum { SCHEME_COUNT = sizeof schemes / sizeof schemes[0] };

const struct store_scheme *store_scheme(size_t index) {
  return index < SCHEME_COUNT ? schemes[index] : NULL;
}

static const struct store_scheme *find(const char *url) {
  for (size_t i = 0; i < SCHEME_COUNT; i++) {
    size_t length = strlen(schemes[i]->name);
    if (strncmp(url, schemes[i]->name, length) == 0 && strncmp(url + length, "://", 3) == 0) {
      return schemes[i];
    }
  }
  return NULL;
}

enum status store_open(const struct store_settings *settings, struct store **out) {
  const struct store_scheme *scheme = find(settings->url);
  if (scheme == NULL) {
    return fail_field(BAD_INPUT, "store",
                      "store: %.64s is neither file:///FOLDER nor s3://BUCKET/PREFIX",
                      settings->url);
  }
  struct store *store = calloc(1, sizeof *store);
  if (store == NULL) {
    return fail(EXHAUSTED, "no memory for a store");
  }
  store->scheme = scheme;
  enum status status = scheme->open(settings, &store->inside);
  if (status != OK) {
    free(store);
    return status;
  }
  *out = store;
  return OK;
}

void store_close(struct store **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  (*pointer)->scheme->close((*pointer)->inside);
  free(*pointer);
  *pointer = NULL;
}

static bool segment_valid(const char *segment, size_t length) {
  bool dots = (length == 1 && segment[0] == '.') || (length == 2 && memcmp(segment, "..", 2) == 0);
  return length > 0 && !dots;
}

/* Keys are made of job ids, which are checked at the broker; this is the second lock on the door.
 */
static enum status key_check(const char *key) {
  size_t length = strlen(key);
  if (length == 0 || length > STORE_KEY_BYTES_MAX) {
    return fail(BAD_INPUT, "a key has 1..%d bytes", STORE_KEY_BYTES_MAX);
  }
  for (const char *segment = key;;) {
    size_t bytes = strcspn(segment, "/");
    if (!segment_valid(segment, bytes)) {
      return fail(BAD_INPUT, "not a key: %.100s", key);
    }
    if (segment[bytes] == '\0') {
      return OK;
    }
    segment += bytes + 1;
  }
}

/* What is written differs each time, so that an old object that is still served is not taken for
 * it. A store that keeps what is to be removed (a locked bucket, a policy without delete) is well:
 * one small object a worker stays behind. */
enum status store_check(struct store *store, const char *name) {
  char key[STORE_KEY_BYTES_MAX];
  char content[256];
  snprintf(key, sizeof key, ".darkroom-check-%.64s", name);
  int length = snprintf(content, sizeof content, "darkroom-worker %.64s asks, %lld.%lld\n", name,
                        (long long)clock_wall_ms(), (long long)clock_ns());
  struct store_object object = {key, "text/plain", content, (size_t)length};
  TRY(store_put(store, &object));
  if (store_remove(store, key) != OK) {
    log_warning("check_not_removed", log_text("key", key), log_text("reason", fail_reason()));
  }
  return OK;
}

enum status store_put(struct store *store, const struct store_object *object) {
  TRY(key_check(object->key));
  return store->scheme->put(store->inside, object);
}

enum status store_remove(struct store *store, const char *key) {
  TRY(key_check(key));
  return store->scheme->remove(store->inside, key);
}

enum status store_locate(struct store *store, const char *key, struct bytes *url) {
  TRY(key_check(key));
  return store->scheme->locate(store->inside, key, url);
}

int64_t store_retry_after_ms(struct store *store) {
  return store->scheme->retry_after_ms != NULL ? store->scheme->retry_after_ms(store->inside) : 0;
}
