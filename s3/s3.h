/* s3.h - requests to one bucket: signed by sigv4.c, carried by libcurl, their answers judged.
 *
 * A client belongs to one thread. A call makes one attempt: who asks decides whether to ask again.
 * Only a refusal that teaches how to ask (the store's clock, the bucket's region, keys that have
 * been renewed) is asked again at once, each lesson once.
 * libcurl must have been started (curl_global_init) before a program's threads open clients; a
 * program that asks from its main thread alone need not.
 */
#ifndef DARKROOM_S3_S3_H
#define DARKROOM_S3_S3_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "s3/answer.h"
#include "s3/digest.h"
#include "s3/place.h"
#include "s3/sigv4.h"

struct s3_settings {
  enum s3_addressing addressing;
  const char *proxy;          /* NULL or "": none, whatever the environment says */
  int64_t connect_ms;         /* to connect; 0: 5000 */
  int64_t transfer_ms;        /* of one request; 0: 300000 */
  const atomic_bool *leaving; /* once it is true, requests under way are given up; may be NULL */
  /* The same where more is to be said than yes: asked about once a second and whenever something
   * moves, with the bytes of the answer so far; may be NULL. */
  bool (*give_up)(void *context, uint64_t bytes);
  void *give_up_context;
};

#define S3_HEADERS_MAX 8

/* A request and what came back. The request's part is left as it was, so that the same may be asked
 * again. */
struct s3_exchange {
  const char *operation;                     /* "put": for messages and metrics */
  const char *method;                        /* GET, DELETE; PUT sends data */
  const char *key;                           /* below the prefix */
  struct sigv4_pair headers[S3_HEADERS_MAX]; /* beside those that the signature needs */
  size_t header_count;
  const void *data;
  size_t bytes;
  struct bytes *body; /* the content of a 2xx answer is appended here; NULL: thrown away */
  /* the answer; texts are "" where it has none */
  long code;             /* HTTP status; 0: there was no whole answer */
  struct s3_words words; /* of a refusal */
  char request_id[128];
  char etag[128];         /* without its quotes */
  long long whole_bytes;  /* of the object a part of which came back; -1 when not told */
  int64_t retry_after_ms; /* how long the store asks to be left alone; 0: it does not say */
  int64_t
      skew_ms;  /* the server's clock minus ours, if the request was asked again for it; else 0 */
  bool moved;   /* it was asked again in another region */
  bool renewed; /* it was asked again with other keys */
};

struct s3;

/* url is "s3://bucket/prefix". BAD_INPUT, with field "store": malformed, or keys are
 * missing. Nothing is contacted. */
enum status s3_open(const char *url, const struct s3_settings *settings, struct s3 **out);
/* Also wipes the keys from memory. */
void s3_close(struct s3 **s3);

/* Asks. UNAVAILABLE: no answer, or a refusal that passes by itself; EXHAUSTED: a refusal that may
 * end (a quota, a permission), or content that does not fit into body (its code is 0 then);
 * BAD_INPUT: there is no such object, or the settings are wrong. The reason has the store's own
 * words. */
enum status s3_request(struct s3 *s3, struct s3_exchange *exchange);

/* Appends "s3://bucket/prefix/key". */
enum status s3_locate(const struct s3 *s3, const char *key, struct bytes *url);

#endif
