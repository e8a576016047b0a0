/* sigv4.h - our own AWS Signature Version 4: the Authorization header, with the path rules of S3.
 *
 * libcurl has a signer, but Debian 12's gets six kinds of request wrong (Expect signed and not
 * sent, headers and queries sorted wrongly, no content digest), so libcurl only
 * carries what is signed here.
 */
#ifndef DARKROOM_S3_SIGV4_H
#define DARKROOM_S3_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

#define SIGV4_PAIRS_MAX 32
#define SIGV4_TEXT_BYTES_MAX (64 * 1024)

/* A header or a query parameter, as it is meant: not encoded, a header's value not trimmed. */
struct sigv4_pair {
  const char *name;
  const char *value; /* NULL reads as "" */
};

struct sigv4_identity {
  const char *access_key;
  const char *secret_key;
  const char *session_token; /* NULL: not temporary */
  const char *region;
  const char *service; /* "s3" */
};

struct sigv4_request {
  const char *method;
  const char
      *path; /* decoded, from the first '/'; encoded once, never normalised, as S3 wants it */
  const struct sigv4_pair *query;
  size_t query_count;
  const struct sigv4_pair
      *headers; /* all are signed; "host" must be among them; x-amz-date too when signing headers */
  size_t header_count;
  const char *payload_sha256; /* lower-case hex */
  int64_t wall_ms;            /* the time signed; x-amz-date must say the same */
};

/* "20150830T123600Z" */
#define SIGV4_DATE_TEXT_MAX 17
void sigv4_date(int64_t wall_ms, char text[SIGV4_DATE_TEXT_MAX]);

/* Appends the value of the Authorization header. BAD_INPUT for too many pairs, EXHAUSTED when
 * something is too long. */
enum status sigv4_authorize(const struct sigv4_request *request,
                            const struct sigv4_identity *identity, struct bytes *authorization);

/* Appends text with all but A-Za-z0-9-._~ as %XX, and '/' left alone when slash is kept. */
enum { SIGV4_KEEP_SLASH = 1 };
enum status sigv4_encode(const char *text, int keep_slash, struct bytes *out);

/* Appends "name=value&..." encoded and sorted: the query to send. */
enum status sigv4_query(const struct sigv4_pair *pairs, size_t count, struct bytes *out);

/* The steps between, for tests: the canonical request with these headers and this query. */
enum status sigv4_canonical(const struct sigv4_request *request, struct bytes *out);

#endif
