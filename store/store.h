/* store.h - where finished pictures go: one row per URL scheme.
 *
 * A store belongs to one thread; each media thread opens its own. A call makes one attempt: whoever
 * holds the picture decides when to try again. Outcomes of all calls but open: UNAVAILABLE, the
 * store is away, or what it holds is not surely what was put; EXHAUSTED, it says no today (a quota,
 * a permission, a full disk); BAD_INPUT, it says no to our settings. None of them is the job's
 * fault, and fail_reason() has the store's own words.
 */
#ifndef DARKROOM_STORE_STORE_H
#define DARKROOM_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "s3/s3.h"

#define STORE_KEY_BYTES_MAX 512

struct store_settings {
  const char *url;       /* "file:///folder" or "s3://bucket/prefix" */
  struct s3_settings s3; /* once its leaving is true, requests under way are given up */
};

struct store_object {
  const char *key;  /* relative, no empty or dot segments: tenant/job/fence/index.png */
  const char *type; /* "image/png" */
  const void *data;
  size_t bytes;
};

struct store;

/* A scheme: what store.c needs of it. */
struct store_scheme {
  const char *name; /* "s3" */
  const char *help; /* the URL's form and where the rest comes from, one line */
  enum status (*open)(const struct store_settings *settings, void **out);
  void (*close)(void *inside);
  enum status (*put)(void *inside, const struct store_object *object);
  enum status (*remove)(void *inside, const char *key);
  enum status (*locate)(void *inside, const char *key, struct bytes *url);
  int64_t (*retry_after_ms)(void *inside); /* NULL: this kind never says */
};
extern const struct store_scheme store_file, store_s3;
/* The index-th scheme, NULL past the end. */
const struct store_scheme *store_scheme(size_t index);

/* BAD_INPUT: unknown scheme, malformed URL, credentials missing. Nothing is contacted yet. */
enum status store_open(const struct store_settings *settings, struct store **out);
void store_close(struct store **store);

/* Whether the store takes an object now, found out by doing it: a small one is written under the
 * prefix, read back and removed. name tells the workers that share the place apart; it may be part
 * of a key. */
enum status store_check(struct store *store, const char *name);

/* Stores the object and proves by asking for it that it is there, whole: OK means so. Putting the
 * same again is fine. */
enum status store_put(struct store *store, const struct store_object *object);
/* Removes it; one that is not there is fine. */
enum status store_remove(struct store *store, const char *key);

/* Appends "s3://bucket/prefix/key" or "file:///folder/key": what an Image names. */
enum status store_locate(struct store *store, const char *key, struct bytes *url);
/* How long the store wished to be left alone when it last refused, 0 when it said nothing. */
int64_t store_retry_after_ms(struct store *store);

#endif
