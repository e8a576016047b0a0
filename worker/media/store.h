/* store.h - where finished pictures go: one row per URL scheme.
 *
 * A store belongs to one thread; each media thread opens its own. A call makes one attempt: whoever
 * holds the picture decides when to try again. Outcomes of all calls: UNAVAILABLE try later (the
 * object is not there, or not surely); BAD_INPUT the store refuses, and will until a person changes
 * something.
 */
#ifndef DARKROOM_WORKER_MEDIA_STORE_H
#define DARKROOM_WORKER_MEDIA_STORE_H

#include <stddef.h>

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
  enum status (*check)(void *inside);
  enum status (*put)(void *inside, const struct store_object *object);
  enum status (*get)(void *inside, const char *key, struct bytes *out);
  enum status (*remove)(void *inside, const char *key);
  enum status (*presign)(void *inside, const char *key, unsigned expires_seconds,
                         struct bytes *url);
  enum status (*locate)(void *inside, const char *key, struct bytes *url);
};
extern const struct store_scheme store_file, store_s3;
/* The index-th scheme, NULL past the end. */
const struct store_scheme *store_scheme(size_t index);

/* BAD_INPUT: unknown scheme, malformed URL, credentials missing. Nothing is contacted yet. */
enum status store_open(const struct store_settings *settings, struct store **out);
void store_close(struct store **store);

/* Whether the store would take an object now: makes the folder, or asks for the bucket. */
enum status store_check(struct store *store);

/* Stores the object and reads its checksum back: OK means it is there, whole. Putting the same
 * again is fine. */
enum status store_put(struct store *store, const struct store_object *object);
/* Fills out with the object, up to its maximum. BAD_INPUT when there is none of that key. */
enum status store_get(struct store *store, const char *key, struct bytes *out);
/* Removes it; one that is not there is fine. */
enum status store_remove(struct store *store, const char *key);

/* Appends "s3://bucket/prefix/key" or "file:///folder/key": what an Image names. */
enum status store_locate(struct store *store, const char *key, struct bytes *url);
/* Appends a URL that anybody may GET for that long. */
enum status store_presign(struct store *store, const char *key, unsigned expires_seconds,
                          struct bytes *url);

#endif
