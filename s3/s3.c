/* s3.c - one request: headers, signature, libcurl, and what the answer means. */
#include "s3/s3.h"

#include <assert.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"

#define ERROR_BODY_BYTES_MAX ((size_t)64 * 1024)
#define TEXT_BYTES_MAX ((size_t)16 * 1024)
enum { OWN_HEADERS = 4, LOW_SPEED_SECONDS = 30, CONNECT_MS = 5000, TRANSFER_MS = 300000 };

struct s3 {
  struct s3_place place;
  CURL *curl;
  char proxy[512];
  long connect_ms;
  long transfer_ms;
  const atomic_bool *leaving;
  int64_t skew_ms; /* the server's clock minus ours, learned from a refusal */
};

/* What an exchange needs while it is under way. */
struct transfer {
  const struct s3 *s3;
  struct s3_exchange *exchange;
  struct sigv4_pair headers[S3_HEADERS_MAX + OWN_HEADERS];
  size_t header_count;
  char date_signed[SIGV4_DATE_TEXT_MAX];
  char payload[SHA256_TEXT_MAX];
  struct bytes path, authorization, url;
  struct bytes error; /* the document of a refusal */
  size_t sent;
  bool overflow; /* body is full */
  char date[64]; /* the server's */
  char curl_error[CURL_ERROR_SIZE];
};

static bool is_put(const struct s3_exchange *exchange) {
  return strcmp(exchange->method, "PUT") == 0;
}

/* transport ------------------------------------------------------------------------------------ */

static size_t give_body(char *room, size_t size, size_t count, void *context) {
  struct transfer *transfer = context;
  const struct s3_exchange *exchange = transfer->exchange;
  size_t left = exchange->bytes - transfer->sent;
  size_t bytes = size * count < left ? size * count : left;
  if (bytes > 0) {
    memcpy(room, (const char *)exchange->data + transfer->sent, bytes);
  }
  transfer->sent += bytes;
  return bytes;
}

/* A refusal's document is cut where it is full; content is whole or nothing. */
static size_t take_body(char *data, size_t size, size_t count, void *context) {
  struct transfer *transfer = context;
  const struct s3_exchange *exchange = transfer->exchange;
  bool content = exchange->code >= 200 && exchange->code < 300;
  if (content && exchange->body != NULL) {
    transfer->overflow = bytes_append(exchange->body, data, size * count) != OK;
  } else if (!content && bytes_append(&transfer->error, data, size * count) != OK) {
    return size * count;
  }
  return transfer->overflow ? 0 : size * count;
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
  struct transfer *transfer = context;
  struct s3_exchange *exchange = transfer->exchange;
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
  keep_header(line, bytes, "date:", transfer->date, sizeof transfer->date);
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

/* How, whatever is asked: libcurl may do nothing on its own. */
static void set_transport(const struct s3 *s3, CURL *curl) {
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  /* "" also switches the environment's proxy off */
  curl_easy_setopt(curl, CURLOPT_PROXY, s3->proxy);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, s3->connect_ms);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, s3->transfer_ms);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_SECONDS);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s3);
  if (s3->place.ca_bundle[0] != '\0') {
    curl_easy_setopt(curl, CURLOPT_CAINFO, s3->place.ca_bundle);
  }
}

static void set_request(struct transfer *transfer, CURL *curl, struct curl_slist *headers) {
  const struct s3_exchange *exchange = transfer->exchange;
  curl_easy_setopt(curl, CURLOPT_URL, bytes_text(&transfer->url));
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->curl_error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
  if (is_put(exchange)) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)exchange->bytes);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
  } else if (strcmp(exchange->method, "HEAD") == 0) {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  }
}

/* what an answer means ------------------------------------------------------------------------- */

/* Between <Code> and </Code> of the error document, "" when it has none. */
static void read_error_code(const struct transfer *transfer, char *code, size_t room) {
  const char *begin = strstr(bytes_text(&transfer->error), "<Code>");
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
static void learn_time(struct s3 *s3, const struct transfer *transfer) {
  struct s3_exchange *exchange = transfer->exchange;
  time_t there = curl_getdate(transfer->date, NULL);
  if (strcmp(exchange->error_code, "RequestTimeTooSkewed") == 0 && there > 0) {
    s3->skew_ms = (int64_t)there * 1000 - clock_wall_ms();
    exchange->skew_ms = s3->skew_ms;
  }
}

static enum status no_answer(const struct transfer *transfer, CURLcode result) {
  struct s3_exchange *exchange = transfer->exchange;
  exchange->code = 0;
  if (transfer->overflow) {
    return fail(EXHAUSTED, "s3 %s: the content is larger than %zu bytes", exchange->operation,
                exchange->body->max);
  }
  const char *why =
      transfer->curl_error[0] != '\0' ? transfer->curl_error : curl_easy_strerror(result);
  return fail(UNAVAILABLE, "s3 %s: %s", exchange->operation, why);
}

static enum status judge(struct s3 *s3, const struct transfer *transfer, CURLcode result) {
  struct s3_exchange *exchange = transfer->exchange;
  if (result != CURLE_OK) {
    return no_answer(transfer, result);
  }
  if (exchange->code >= 200 && exchange->code < 300) {
    return OK;
  }
  read_error_code(transfer, exchange->error_code, sizeof exchange->error_code);
  learn_time(s3, transfer);
  return fail(passing(exchange->code, exchange->error_code) ? UNAVAILABLE : BAD_INPUT,
              "s3 %s: HTTP %ld %s (request %s)", exchange->operation, exchange->code,
              exchange->error_code, exchange->request_id);
}

/* one request ---------------------------------------------------------------------------------- */

static void add_header(struct transfer *transfer, const char *name, const char *value) {
  transfer->headers[transfer->header_count++] = (struct sigv4_pair){name, value};
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
static enum status make_headers(const struct transfer *transfer, struct curl_slist **list) {
  for (size_t i = 0; i < transfer->header_count; i++) {
    TRY(append_curl_header(list, transfer->headers[i].name, transfer->headers[i].value));
  }
  TRY(append_curl_header(list, "Authorization", bytes_text(&transfer->authorization)));
  struct curl_slist *longer = curl_slist_append(*list, "Expect:");
  if (longer == NULL) {
    return fail(EXHAUSTED, "no memory for a header");
  }
  *list = longer;
  return OK;
}

static enum status sign(struct transfer *transfer) {
  const struct s3 *s3 = transfer->s3;
  const struct s3_exchange *exchange = transfer->exchange;
  bool put = is_put(exchange);
  TRY(digest_sha256_text(put ? exchange->data : "", put ? exchange->bytes : 0, transfer->payload));
  struct sigv4_request request = {.method = exchange->method,
                                  .path = bytes_text(&transfer->path),
                                  .headers = transfer->headers,
                                  .payload_sha256 = transfer->payload,
                                  .wall_ms = clock_wall_ms() + s3->skew_ms};
  struct sigv4_identity identity = s3_place_identity(&s3->place);
  sigv4_date(request.wall_ms, transfer->date_signed);
  add_header(transfer, "Host", s3->place.host);
  add_header(transfer, "x-amz-date", transfer->date_signed);
  add_header(transfer, "x-amz-content-sha256", transfer->payload);
  if (identity.session_token != NULL) {
    add_header(transfer, "x-amz-security-token", identity.session_token);
  }
  request.header_count = transfer->header_count;
  return sigv4_authorize(&request, &identity, &transfer->authorization);
}

static enum status prepare(struct transfer *transfer) {
  const struct s3_place *place = &transfer->s3->place;
  TRY(s3_place_path(place, transfer->exchange->key, &transfer->path));
  TRY(sign(transfer));
  TRY(bytes_printf(&transfer->url, "%s://%s", place->scheme, place->host));
  return sigv4_encode(bytes_text(&transfer->path), SIGV4_KEEP_SLASH, &transfer->url);
}

static enum status perform(struct s3 *s3, struct transfer *transfer) {
  struct curl_slist *headers = NULL;
  TRY(prepare(transfer));
  enum status status = make_headers(transfer, &headers);
  if (status == OK) {
    curl_easy_reset(s3->curl); /* keeps the connections */
    set_transport(s3, s3->curl);
    set_request(transfer, s3->curl, headers);
    status = judge(s3, transfer, curl_easy_perform(s3->curl));
  }
  curl_slist_free_all(headers);
  return status;
}

static void forget_answer(struct s3_exchange *exchange) {
  exchange->code = 0;
  exchange->content_length = -1;
  exchange->skew_ms = 0;
  exchange->error_code[0] = exchange->request_id[0] = '\0';
  exchange->etag[0] = exchange->sha256[0] = '\0';
}

enum status s3_request(struct s3 *s3, struct s3_exchange *exchange) {
  assert(exchange->header_count <= S3_HEADERS_MAX);
  struct transfer transfer = {
      .s3 = s3, .exchange = exchange, .header_count = exchange->header_count};
  memcpy(transfer.headers, exchange->headers, sizeof exchange->headers);
  forget_answer(exchange);
  bytes_open(&transfer.path, TEXT_BYTES_MAX);
  bytes_open(&transfer.authorization, TEXT_BYTES_MAX);
  bytes_open(&transfer.url, TEXT_BYTES_MAX);
  bytes_open(&transfer.error, ERROR_BODY_BYTES_MAX);
  enum status status = perform(s3, &transfer);
  bytes_close(&transfer.path);
  bytes_close(&transfer.authorization);
  bytes_close(&transfer.url);
  bytes_close(&transfer.error);
  return status;
}

/* the client ----------------------------------------------------------------------------------- */

enum status s3_open(const char *url, const struct s3_settings *settings, struct s3 **out) {
  struct s3 *s3 = calloc(1, sizeof *s3);
  if (s3 == NULL) {
    return fail(EXHAUSTED, "no memory for an S3 client");
  }
  enum status status = s3_place_read(url, settings->addressing, &s3->place);
  s3->curl = status == OK ? curl_easy_init() : NULL;
  if (status == OK && s3->curl == NULL) {
    status = fail(EXHAUSTED, "no memory for libcurl");
  }
  if (status != OK) {
    s3_close(&s3);
    return status;
  }
  snprintf(s3->proxy, sizeof s3->proxy, "%s", settings->proxy != NULL ? settings->proxy : "");
  s3->leaving = settings->leaving;
  s3->connect_ms = settings->connect_ms > 0 ? (long)settings->connect_ms : CONNECT_MS;
  s3->transfer_ms = settings->transfer_ms > 0 ? (long)settings->transfer_ms : TRANSFER_MS;
  *out = s3;
  return OK;
}

void s3_close(struct s3 **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct s3 *s3 = *pointer;
  curl_easy_cleanup(s3->curl);
  OPENSSL_cleanse(s3, sizeof *s3);
  free(s3);
  *pointer = NULL;
}

enum status s3_locate(const struct s3 *s3, const char *key, struct bytes *url) {
  const struct s3_place *place = &s3->place;
  return bytes_printf(url, "s3://%s/%s%s%s", place->bucket, place->prefix,
                      place->prefix[0] != '\0' ? "/" : "", key);
}

enum status s3_presign(const struct s3 *s3, const char *key, unsigned expires_seconds,
                       struct bytes *url) {
  struct bytes path;
  bytes_open(&path, TEXT_BYTES_MAX);
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
