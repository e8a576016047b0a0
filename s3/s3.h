/* s3.h - requests to one bucket: signed by sigv4.c, carried by libcurl, their answers judged.
 *
 * A client belongs to one thread. A call makes one attempt: who asks decides whether to ask again.
 * libcurl must have been started (curl_global_init) before a program's threads open clients; a
 * program that asks from its main thread alone need not.
 */
#ifndef DARKROOM_S3_S3_H
#define DARKROOM_S3_S3_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "s3/digest.h"
#include "s3/place.h"
#include "s3/sigv4.h"

struct s3_settings {
  enum s3_addressing addressing;
  const char *proxy;          /* NULL or "": none, whatever the environment says */
  int64_t connect_ms;         /* to connect; 0: 5000 */
  int64_t transfer_ms;        /* of one request; 0: 300000 */
  const atomic_bool *leaving; /* once it is true, requests under way are given up; may be NULL */
};

#define S3_HEADERS_MAX 8

/* A request and what came back. The request's part is left as it was, so that the same may be asked
 * again. */
struct s3_exchange {
  const char *operation;                     /* "put": for messages and metrics */
  const char *method;                        /* GET, HEAD, DELETE; PUT sends data */
  const char *key;                           /* below the prefix; NULL: the bucket itself */
  struct sigv4_pair headers[S3_HEADERS_MAX]; /* beside those that the signature needs */
  size_t header_count;
  const void *data;
  size_t bytes;
  struct bytes *body; /* the content of a 2xx answer is appended here; NULL: thrown away */
  /* the answer; texts are "" where it has none */
  long code;           /* HTTP status; 0: there was no whole answer */
  char error_code[64]; /* "NoSuchKey" */
  char request_id[128];
  char etag[128];               /* without its quotes */
  char sha256[SHA256_TEXT_MAX]; /* x-amz-meta-sha256 */
  long long content_length;     /* -1 when not told */
  int64_t skew_ms; /* the server's clock minus ours if the request was refused for it; else 0 */
};

struct s3;

/* url is "s3://bucket/prefix". BAD_INPUT, with field "store": malformed, or credentials are
 * missing. Nothing is contacted. */
enum status s3_open(const char *url, const struct s3_settings *settings, struct s3 **out);
/* Also wipes the keys from memory. */
void s3_close(struct s3 **s3);

/* Asks once. UNAVAILABLE: no answer, or a refusal that passes by itself; BAD_INPUT: a refusal that
 * does not; EXHAUSTED: the content does not fit into body. After a refusal for a wrong clock the
 * next request is signed by the server's. */
enum status s3_request(struct s3 *s3, struct s3_exchange *exchange);

/* Appends "s3://bucket/prefix/key". */
enum status s3_locate(const struct s3 *s3, const char *key, struct bytes *url);
/* Appends a URL that anybody may GET for that long. */
enum status s3_presign(const struct s3 *s3, const char *key, unsigned expires_seconds,
                       struct bytes *url);

#endif
