/* store_s3.c - s3://bucket/prefix: requests signed by sigv4.c and carried by libcurl.
 *
 * A put is a PUT whose body digest is signed and whose MD5 is named, then a HEAD that must tell the
 * same size and checksum: only then is the object said to be there. The key holds the fence, so
 * putting it again only ever overwrites the same picture, and no conditional PUT (which half of the
 * servers refuse) is needed.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitoring/log.h"
#include "monitoring/metrics.h"
#include "worker/media/digest.h"
#include "worker/media/s3_place.h"
#include "worker/media/store.h"

#define ERROR_BODY_BYTES_MAX ((size_t)64 * 1024)
#define URL_BYTES_MAX ((size_t)16 * 1024)
enum { HEADERS_MAX = 12, LOW_SPEED_SECONDS = 30, CONNECT_MS = 5000, TRANSFER_MS = 300000 };

struct s3 {
  struct s3_place place;
  CURL *curl;
  char proxy[512];
  long connect_ms;
  long transfer_ms;
  const atomic_bool *leaving;
  int64_t skew_ms; /* the server's clock minus ours, learned from a refusal */
};

/* One request and what came back. */
struct exchange {
  const char *operation; /* "put": for metrics and messages */
  const char *method;
  const char *key; /* NULL: the bucket */
  const struct store_object *object;
  struct sigv4_pair headers[HEADERS_MAX];
  size_t header_count;
  struct bytes *body; /* where a 2xx body goes, NULL: away */
  char date_signed[SIGV4_DATE_TEXT_MAX];
  char payload[SHA256_TEXT_MAX];
  /* the answer */
  long code;
  struct bytes error;
  char etag[128];
  char sha256[SHA256_TEXT_MAX];
  char request_id[128];
  char date[64];
  long long content_length;
  size_t sent;
  bool overflow;
  char curl_error[CURL_ERROR_SIZE];
};

/* transport
 * ------------------------------------------------------------------------------------------ */

static size_t give_body(char *room, size_t size, size_t count, void *context) {
  struct exchange *exchange = context;
  size_t left = exchange->object->bytes - exchange->sent;
  size_t bytes = size * count < left ? size * count : left;
  memcpy(room, (const char *)exchange->object->data + exchange->sent, bytes);
  exchange->sent += bytes;
  return bytes;
}

static size_t take_body(char *data, size_t size, size_t count, void *context) {
  struct exchange *exchange = context;
  long code = exchange->code;
  struct bytes *to =
      code >= 200 && code < 300 && exchange->body != NULL ? exchange->body : &exchange->error;
  if (bytes_append(to, data, size * count) != OK) {
    exchange->overflow = true;
    return 0;
  }
  return size * count;
}

static void keep_header(const char *line, size_t bytes, const char *name, char *to, size_t room) {
  size_t length = strlen(name);
  if (bytes <= length || strncasecmp(line, name, length) != 0) {
    return;
  }
  while (length < bytes && (line[length] == ' ' || line[length] == '"')) {
    length++;
  }
  while (bytes > length && strchr("\r\n\"", line[bytes - 1]) != NULL) {
    bytes--;
  }
  snprintf(to, room, "%.*s", (int)(bytes - length), line + length);
}

static size_t take_header(char *line, size_t size, size_t count, void *context) {
  struct exchange *exchange = context;
  size_t bytes = size * count;
  if (bytes > 12 && strncmp(line, "HTTP/", 5) == 0) {
    exchange->code = strtol(line + strcspn(line, " "), NULL, 10);
  }
  char length[32] = "";
  keep_header(line, bytes, "content-length:", length, sizeof length);
  if (length[0] != '\0') {
    exchange->content_length = strtoll(length, NULL, 10);
  }
  keep_header(line, bytes, "etag:", exchange->etag, sizeof exchange->etag);
  keep_header(line, bytes, "x-amz-meta-sha256:", exchange->sha256, sizeof exchange->sha256);
  keep_header(line, bytes, "x-amz-request-id:", exchange->request_id, sizeof exchange->request_id);
  keep_header(line, bytes, "date:", exchange->date, sizeof exchange->date);
  return bytes;
}

/* Asked about once a second and whenever something moves: a server that hangs must not hold up a
 * drain. */
static int give_up(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                   curl_off_t up) {
  (void)total_down, (void)down, (void)total_up, (void)up;
  const struct s3 *s3 = context;
  return s3->leaving != NULL && atomic_load(s3->leaving) ? 1 : 0;
}

static void set_options(struct s3 *s3, struct exchange *exchange, const char *url,
                        struct curl_slist *headers) {
  CURL *curl = s3->curl;
  curl_easy_reset(curl); /* keeps the connections */
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  curl_easy_setopt(curl, CURLOPT_PROXY,
                   s3->proxy); /* "" also switches the environment's proxy off */
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, s3->connect_ms);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, s3->transfer_ms);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_SECONDS);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->curl_error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s3);
  if (s3->place.ca_bundle[0] != '\0') {
    curl_easy_setopt(curl, CURLOPT_CAINFO, s3->place.ca_bundle);
  }
  if (exchange->object != NULL) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->object->bytes);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, exchange);
  } else if (strcmp(exchange->method, "HEAD") == 0) {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  }
}

/* what an answer means
 * --------------------------------------------------------------------------------- */

/* Between <Code> and </Code> of the error document, "" when it has none. */
static void error_code(const struct exchange *exchange, char *code, size_t room) {
  const char *begin = strstr(bytes_text(&exchange->error), "<Code>");
  const char *end = begin != NULL ? strstr(begin, "</Code>") : NULL;
  snprintf(code, room, "%.*s", end == NULL ? 0 : (int)(end - begin - 6),
           end == NULL ? "" : begin + 6);
}

/* Refusals that pass by themselves: by HTTP status, or by the code of a 4xx. */
static bool passing(long status, const char *code) {
  static const long statuses[] = {408, 409, 425, 429, 500, 502, 503, 504};
  static const char *const codes[] = {"SlowDown",      "RequestTimeout",
                                      "InternalError", "RequestTimeTooSkewed",
                                      "BadDigest",     "OperationAborted"};
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    if (statuses[i] == status) {
      return true;
    }
  }
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
    if (strcmp(codes[i], code) == 0) {
      return true;
    }
  }
  return status >= 500 || strncmp(code, "Throttl", 7) == 0;
}

/* Amazon refuses what is signed more than 15 minutes off; its Date says by how much we are. */
static void learn_time(struct s3 *s3, const struct exchange *exchange, const char *code) {
  time_t there = curl_getdate(exchange->date, NULL);
  if (strcmp(code, "RequestTimeTooSkewed") == 0 && there > 0) {
    s3->skew_ms = (int64_t)there * 1000 - clock_wall_ms();
    log_warning("s3_clock_skew", "ms=%lld", (long long)s3->skew_ms);
  }
}

static enum status judge(struct s3 *s3, const struct exchange *exchange, CURLcode result) {
  char labels[64];
  snprintf(labels, sizeof labels, "%s,%ld", exchange->operation,
           result == CURLE_OK ? exchange->code : 0L);
  metric_add_labelled(M_S3_REQUESTS, labels, 1);
  if (exchange->overflow) {
    return fail(UNAVAILABLE, "s3 %s: the answer is too long", exchange->operation);
  }
  if (result != CURLE_OK) {
    const char *why =
        exchange->curl_error[0] != '\0' ? exchange->curl_error : curl_easy_strerror(result);
    return fail(UNAVAILABLE, "s3 %s: %s", exchange->operation, why);
  }
  if (exchange->code >= 200 && exchange->code < 300) {
    return OK;
  }
  char code[64];
  error_code(exchange, code, sizeof code);
  learn_time(s3, exchange, code);
  return fail(passing(exchange->code, code) ? UNAVAILABLE : BAD_INPUT,
              "s3 %s: HTTP %ld %s (request %s)", exchange->operation, exchange->code, code,
              exchange->request_id);
}

/* one request
 * ------------------------------------------------------------------------------------------ */

static void add_header(struct exchange *exchange, const char *name, const char *value) {
  exchange->headers[exchange->header_count++] = (struct sigv4_pair){name, value};
}

static enum status append_curl_header(struct curl_slist **list, const char *name,
                                      const char *value) {
  char line[4400];
  int length = snprintf(line, sizeof line, "%s: %s", name, value);
  struct curl_slist *longer = length < (int)sizeof line ? curl_slist_append(*list, line) : NULL;
  if (longer == NULL) {
    return fail(EXHAUSTED, "no memory for a header");
  }
  *list = longer;
  return OK;
}

/* curl's own Expect and Transfer-Encoding would be sent unsigned: none of them. */
static enum status make_headers(const struct exchange *exchange, const char *authorization,
                                struct curl_slist **list) {
  for (size_t i = 0; i < exchange->header_count; i++) {
    TRY(append_curl_header(list, exchange->headers[i].name, exchange->headers[i].value));
  }
  TRY(append_curl_header(list, "Authorization", authorization));
  struct curl_slist *longer = curl_slist_append(*list, "Expect:");
  if (longer == NULL) {
    return fail(EXHAUSTED, "no memory for a header");
  }
  *list = longer;
  return OK;
}

static enum status sign(struct s3 *s3, struct exchange *exchange, const char *path,
                        struct bytes *authorization) {
  const struct store_object *object = exchange->object;
  TRY(digest_sha256_text(object != NULL ? object->data : "", object != NULL ? object->bytes : 0,
                         exchange->payload));
  struct sigv4_request request = {
      .method = exchange->method, .path = path, .payload_sha256 = exchange->payload};
  request.wall_ms = clock_wall_ms() + s3->skew_ms;
  sigv4_date(request.wall_ms, exchange->date_signed);
  add_header(exchange, "Host", s3->place.host);
  add_header(exchange, "x-amz-date", exchange->date_signed);
  add_header(exchange, "x-amz-content-sha256", exchange->payload);
  struct sigv4_identity identity = s3_place_identity(&s3->place);
  if (identity.session_token != NULL) {
    add_header(exchange, "x-amz-security-token", identity.session_token);
  }
  request.headers = exchange->headers;
  request.header_count = exchange->header_count;
  return sigv4_authorize(&request, &identity, authorization);
}

static enum status perform(struct s3 *s3, struct exchange *exchange, struct bytes *path,
                           struct bytes *authorization) {
  TRY(s3_place_path(&s3->place, exchange->key, path));
  TRY(sign(s3, exchange, bytes_text(path), authorization));
  struct bytes url;
  bytes_open(&url, URL_BYTES_MAX);
  enum status status = bytes_printf(&url, "%s://%s", s3->place.scheme, s3->place.host);
  status = status == OK ? sigv4_encode(bytes_text(path), SIGV4_KEEP_SLASH, &url) : status;
  struct curl_slist *headers = NULL;
  status = status == OK ? make_headers(exchange, bytes_text(authorization), &headers) : status;
  if (status == OK) {
    set_options(s3, exchange, bytes_text(&url), headers);
    status = judge(s3, exchange, curl_easy_perform(s3->curl));
  }
  curl_slist_free_all(headers);
  bytes_close(&url);
  return status;
}

static enum status request(struct s3 *s3, struct exchange *exchange) {
  exchange->content_length = -1;
  bytes_open(&exchange->error, ERROR_BODY_BYTES_MAX);
  struct bytes path;
  struct bytes authorization;
  bytes_open(&path, URL_BYTES_MAX);
  bytes_open(&authorization, URL_BYTES_MAX);
  enum status status = perform(s3, exchange, &path, &authorization);
  bytes_close(&path);
  bytes_close(&authorization);
  bytes_close(&exchange->error);
  return status;
}

/* the scheme's row
 * ------------------------------------------------------------------------------------- */

static enum status s3_open(const struct store_settings *settings, void **out) {
  struct s3 *s3 = calloc(1, sizeof *s3);
  if (s3 == NULL) {
    return fail(EXHAUSTED, "no memory for a store");
  }
  enum status status = s3_place_read(settings, &s3->place);
  s3->curl = status == OK ? curl_easy_init() : NULL;
  if (status == OK && s3->curl == NULL) {
    status = fail(EXHAUSTED, "no memory for libcurl");
  }
  if (status != OK) {
    free(s3);
    return status;
  }
  snprintf(s3->proxy, sizeof s3->proxy, "%s", settings->proxy != NULL ? settings->proxy : "");
  s3->leaving = settings->leaving;
  s3->connect_ms = settings->connect_ms > 0 ? (long)settings->connect_ms : CONNECT_MS;
  s3->transfer_ms = settings->transfer_ms > 0 ? (long)settings->transfer_ms : TRANSFER_MS;
  *out = s3;
  return OK;
}

static void s3_close(void *inside) {
  struct s3 *s3 = inside;
  curl_easy_cleanup(s3->curl);
  OPENSSL_cleanse(s3, sizeof *s3);
  free(s3);
}

static enum status s3_check(void *inside) {
  struct exchange exchange = {.operation = "check", .method = "HEAD"};
  return request(inside, &exchange);
}

/* Size always; the MD5 when the ETag is one (encrypted objects have others), and our own SHA-256
 * from the metadata. */
static enum status verify(struct s3 *s3, const struct store_object *object, const char *md5,
                          const char *sha256) {
  struct exchange head = {.operation = "head", .method = "HEAD", .key = object->key};
  enum status status = request(s3, &head);
  if (status == BAD_INPUT && head.code == 404) {
    return fail(UNAVAILABLE, "s3: %s is not there after it was put", object->key);
  }
  TRY(status);
  bool etag_is_md5 = strlen(head.etag) == MD5_TEXT_MAX - 1 &&
                     strspn(head.etag, "0123456789abcdef") == MD5_TEXT_MAX - 1;
  bool same = head.content_length == (long long)object->bytes;
  same = same && (!etag_is_md5 || strcmp(head.etag, md5) == 0);
  same = same && (head.sha256[0] == '\0' || strcmp(head.sha256, sha256) == 0);
  same = same && (etag_is_md5 || head.sha256[0] != '\0');
  return same ? OK
              : fail(UNAVAILABLE, "s3: %s does not hold what was put (size or checksum)",
                     object->key);
}

static enum status s3_put(void *inside, const struct store_object *object) {
  struct s3 *s3 = inside;
  uint8_t digest[MD5_BYTES];
  TRY(digest_md5(object->data, object->bytes, digest));
  char md5_text[MD5_TEXT_MAX];
  char md5_base64[4 * ((MD5_BYTES + 2) / 3) + 1];
  digest_hex(digest, sizeof digest, md5_text);
  EVP_EncodeBlock((unsigned char *)md5_base64, digest, sizeof digest);
  char sha256[SHA256_TEXT_MAX];
  TRY(digest_sha256_text(object->data, object->bytes, sha256));
  struct exchange put = {.operation = "put", .method = "PUT", .key = object->key, .object = object};
  add_header(&put, "content-type", object->type);
  add_header(&put, "content-md5", md5_base64);
  add_header(&put, "x-amz-meta-sha256", sha256);
  TRY(request(s3, &put));
  return verify(s3, object, md5_text, sha256);
}

static enum status s3_get(void *inside, const char *key, struct bytes *out) {
  struct exchange get = {.operation = "get", .method = "GET", .key = key, .body = out};
  bytes_clear(out);
  return request(inside, &get);
}

static enum status s3_remove(void *inside, const char *key) {
  struct exchange remove = {.operation = "delete", .method = "DELETE", .key = key};
  enum status status = request(inside, &remove);
  return status == BAD_INPUT && remove.code == 404 ? OK : status;
}

static enum status s3_locate(void *inside, const char *key, struct bytes *url) {
  const struct s3_place *place = &((struct s3 *)inside)->place;
  return bytes_printf(url, "s3://%s/%s%s%s", place->bucket, place->prefix,
                      place->prefix[0] != '\0' ? "/" : "", key);
}

static enum status s3_presign(void *inside, const char *key, unsigned expires_seconds,
                              struct bytes *url) {
  const struct s3 *s3 = inside;
  struct bytes path;
  bytes_open(&path, URL_BYTES_MAX);
  enum status status = s3_place_path(&s3->place, key, &path);
  struct sigv4_pair host = {"host", s3->place.host};
  struct sigv4_request get = {.method = "GET",
                              .path = bytes_text(&path),
                              .headers = &host,
                              .header_count = 1,
                              .payload_sha256 = SIGV4_UNSIGNED_PAYLOAD,
                              .wall_ms = clock_wall_ms() + s3->skew_ms};
  struct sigv4_identity identity = s3_place_identity(&s3->place);
  status = status == OK ? bytes_printf(url, "%s://%s", s3->place.scheme, s3->place.host) : status;
  status = status == OK ? sigv4_presign(&get, &identity, expires_seconds, url) : status;
  bytes_close(&path);
  return status;
}

const struct store_scheme store_s3 = {
    .name = "s3",
    .help =
        "s3://BUCKET/PREFIX: AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY",
    .open = s3_open,
    .close = s3_close,
    .check = s3_check,
    .put = s3_put,
    .get = s3_get,
    .remove = s3_remove,
    .presign = s3_presign,
    .locate = s3_locate,
};
