/* s3.c - one request: headers, signature, libcurl, and what the answer means.
 *
 * libcurl ends no process: memory that is missing, an answer that never stops or makes no sense are
 * codes. No signal comes from it either (CURLOPT_NOSIGNAL, SIGPIPE ignored). What a server may make
 * us hold is bounded where it is kept: headers by name, documents and objects by their buffers. */
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
#include "s3/keys.h"

#define ERROR_BODY_BYTES_MAX ((size_t)64 * 1024)
#define TEXT_BYTES_MAX ((size_t)16 * 1024)
enum {
  OWN_HEADERS = 4,
  LOW_SPEED_SECONDS = 30,
  CONNECT_MS = 5000,
  TRANSFER_MS = 300000,
  SKEW_MS_MIN = 5 * 60 * 1000,   /* stores refuse from 15 minutes on; less is no reason */
  RETRY_AFTER_SECONDS_MAX = 120, /* what is longer is a misunderstanding; it is asked again */
};

struct s3 {
  struct s3_place place;
  struct s3_keys keys;
  CURL *curl;
  char proxy[512];
  long connect_ms;
  long transfer_ms;
  const atomic_bool *leaving;
  bool (*give_up)(void *context, uint64_t bytes);
  void *give_up_context;
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
  bool overflow;                    /* body is full */
  char date[64];                    /* the server's */
  char region[S3_REGION_BYTES_MAX]; /* where a header says that the bucket is */
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

/* The value of a header, its blanks and quotes left off; kept only under that name, which has a
 * colon behind it at once, as HTTP wants it. */
static void keep_header(const char *line, size_t bytes, const char *name, char *to, size_t room) {
  size_t length = strlen(name);
  if (bytes <= length || strncasecmp(line, name, length) != 0) {
    return;
  }
  while (length < bytes && strchr(" \t\"", line[length]) != NULL) {
    length++;
  }
  while (bytes > length && strchr(" \t\r\n\"", line[bytes - 1]) != NULL) {
    bytes--;
  }
  snprintf(to, room, "%.*s", (int)(bytes - length), line + length);
}

static void forget_answer(struct transfer *transfer) {
  struct s3_exchange *exchange = transfer->exchange;
  exchange->code = 0;
  exchange->words = (struct s3_words){0};
  exchange->request_id[0] = exchange->etag[0] = '\0';
  exchange->whole_bytes = -1;
  exchange->retry_after_ms = 0;
  transfer->date[0] = transfer->region[0] = '\0';
}

/* "bytes 0-0/1234"; "*" instead of the number reads as not told. */
static long long whole_of(const char *range) {
  const char *slash = strchr(range, '/');
  char *end = NULL;
  long long whole = slash != NULL ? strtoll(slash + 1, &end, 10) : -1;
  return end != NULL && end != slash + 1 ? whole : -1;
}

/* Seconds, or a date. */
static int64_t retry_after_ms(const char *text) {
  char *end = NULL;
  long long seconds = strtoll(text, &end, 10);
  if (*end != '\0') {
    time_t then = curl_getdate(text, NULL);
    seconds = then > 0 ? (long long)then - clock_wall_ms() / 1000 : 0;
  }
  seconds = seconds > RETRY_AFTER_SECONDS_MAX ? RETRY_AFTER_SECONDS_MAX : seconds;
  return seconds > 0 ? seconds * 1000 : 0;
}

static size_t take_header(char *line, size_t size, size_t count, void *context) {
  struct transfer *transfer = context;
  struct s3_exchange *exchange = transfer->exchange;
  size_t bytes = size * count;
  if (bytes > 5 && strncmp(line, "HTTP/", 5) == 0) {
    forget_answer(transfer); /* what a 100 or a proxy said before is not the answer's */
    exchange->code = strtol(line + strcspn(line, " "), NULL, 10);
  }
  char range[64] = "";
  char after[64] = "";
  keep_header(line, bytes, "content-range:", range, sizeof range);
  keep_header(line, bytes, "retry-after:", after, sizeof after);
  if (range[0] != '\0') {
    exchange->whole_bytes = whole_of(range);
  }
  if (after[0] != '\0') {
    exchange->retry_after_ms = retry_after_ms(after);
  }
  keep_header(line, bytes, "etag:", exchange->etag, sizeof exchange->etag);
  keep_header(line, bytes, "x-amz-request-id:", exchange->request_id, sizeof exchange->request_id);
  keep_header(line, bytes, "x-amz-bucket-region:", transfer->region, sizeof transfer->region);
  keep_header(line, bytes, "date:", transfer->date, sizeof transfer->date);
  return bytes;
}

/* Asked about once a second and whenever something moves: a server that hangs must not hold up a
 * drain. */
static int give_up(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                   curl_off_t up) {
  (void)total_down, (void)total_up, (void)up;
  const struct s3 *s3 = context;
  bool leaving = s3->leaving != NULL && atomic_load(s3->leaving);
  return leaving || (s3->give_up != NULL && s3->give_up(s3->give_up_context, (uint64_t)down));
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
  /* names are resolved in a thread of libcurl's, which it would otherwise wait for at the end of a
   * request that has met its limit: as long as the name server is deaf */
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
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
  }
}

/* what an answer teaches -------------------------------------------------------------------- */

enum { LESSON_TIME = 1, LESSON_REGION = 2, LESSON_KEYS = 4 };

/* Stores refuse what is signed more than 15 minutes off, not all with the same word; their Date
 * says by how much we are. */
static bool learn_time(struct s3 *s3, const struct transfer *transfer) {
  struct s3_exchange *exchange = transfer->exchange;
  time_t there = curl_getdate(transfer->date, NULL);
  int64_t skew_ms = (int64_t)there * 1000 - clock_wall_ms();
  int64_t wrong_by = skew_ms - s3->skew_ms;
  bool refused = exchange->code == 400 || exchange->code == 401 || exchange->code == 403;
  if (!refused || there <= 0 || (wrong_by < SKEW_MS_MIN && wrong_by > -SKEW_MS_MIN)) {
    return false;
  }
  s3->skew_ms = exchange->skew_ms = skew_ms;
  return true;
}

/* The document names the region, or a header does. */
static bool learn_region(struct s3 *s3, const struct transfer *transfer) {
  struct s3_exchange *exchange = transfer->exchange;
  const char *region =
      exchange->words.region[0] != '\0' ? exchange->words.region : transfer->region;
  bool refused = exchange->code == 301 || exchange->code == 307 || exchange->code == 400 ||
                 exchange->code == 403;
  if (!refused || region[0] == '\0' || strcmp(region, s3->place.region) == 0 ||
      s3_place_move(&s3->place, region) != OK) {
    return false;
  }
  exchange->moved = true;
  return true;
}

/* Any refusal of who asks may be one of keys that have been renewed meanwhile. */
static bool learn_keys(struct s3 *s3, const struct transfer *transfer) {
  struct s3_exchange *exchange = transfer->exchange;
  bool refused = exchange->code == 400 || exchange->code == 401 || exchange->code == 403;
  if (!refused || !s3_keys_refresh(&s3->keys, true)) {
    return false;
  }
  exchange->renewed = true;
  return true;
}

/* True when it is worth asking again at once. Each lesson is learned once a request: a store that
 * keeps moving its bucket or its clock is not followed. */
static bool learn(struct s3 *s3, const struct transfer *transfer, unsigned *learned) {
  static const struct {
    unsigned lesson;
    bool (*learn)(struct s3 *s3, const struct transfer *transfer);
  } lessons[] = {
      {LESSON_TIME, learn_time}, {LESSON_REGION, learn_region}, {LESSON_KEYS, learn_keys}};
  for (size_t i = 0; i < sizeof lessons / sizeof lessons[0]; i++) {
    if ((*learned & lessons[i].lesson) == 0 && lessons[i].learn(s3, transfer)) {
      *learned |= lessons[i].lesson;
      return true;
    }
  }
  return false;
}

/* what an answer means ---------------------------------------------------------------------- */

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

/* In the store's own words. */
static enum status refused(const struct s3_exchange *exchange) {
  const struct s3_words *words = &exchange->words;
  return fail(s3_refusal(exchange->code, words->code), "s3 %s: HTTP %ld%s%s%s%s%s%s%s",
              exchange->operation, exchange->code, words->code[0] != '\0' ? " " : "", words->code,
              words->message[0] != '\0' ? ": " : "", words->message,
              exchange->request_id[0] != '\0' ? " (request " : "", exchange->request_id,
              exchange->request_id[0] != '\0' ? ")" : "");
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

static struct sigv4_identity identity_of(const struct s3 *s3) {
  return (struct sigv4_identity){
      .access_key = s3->keys.access_key,
      .secret_key = s3->keys.secret_key,
      .session_token = s3->keys.session_token[0] != '\0' ? s3->keys.session_token : NULL,
      .region = s3->place.region,
      .service = "s3",
  };
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
  struct sigv4_identity identity = identity_of(s3);
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

/* Whether there was a whole answer; what it says is in the exchange. */
static enum status perform(struct s3 *s3, struct transfer *transfer) {
  struct curl_slist *headers = NULL;
  TRY(prepare(transfer));
  enum status status = make_headers(transfer, &headers);
  if (status == OK) {
    curl_easy_reset(s3->curl); /* keeps the connections */
    set_transport(s3, s3->curl);
    set_request(transfer, s3->curl, headers);
    CURLcode result = curl_easy_perform(s3->curl);
    status = result == CURLE_OK ? OK : no_answer(transfer, result);
  }
  curl_slist_free_all(headers);
  return status;
}

static enum status ask_once(struct s3 *s3, struct s3_exchange *exchange, unsigned *learned,
                            bool *again) {
  struct transfer transfer = {
      .s3 = s3, .exchange = exchange, .header_count = exchange->header_count};
  memcpy(transfer.headers, exchange->headers, sizeof exchange->headers);
  forget_answer(&transfer);
  bytes_open(&transfer.path, TEXT_BYTES_MAX);
  bytes_open(&transfer.authorization, TEXT_BYTES_MAX);
  bytes_open(&transfer.url, TEXT_BYTES_MAX);
  bytes_open(&transfer.error, ERROR_BODY_BYTES_MAX);
  enum status status = perform(s3, &transfer);
  *again = false;
  if (status == OK && (exchange->code < 200 || exchange->code > 299)) {
    s3_words_read(bytes_text(&transfer.error), &exchange->words);
    *again = learn(s3, &transfer, learned);
    status = refused(exchange);
  }
  bytes_close(&transfer.path);
  bytes_close(&transfer.authorization);
  bytes_close(&transfer.url);
  bytes_close(&transfer.error);
  return status;
}

enum status s3_request(struct s3 *s3, struct s3_exchange *exchange) {
  assert(exchange->header_count <= S3_HEADERS_MAX);
  exchange->skew_ms = 0;
  exchange->moved = exchange->renewed = false;
  (void)s3_keys_refresh(&s3->keys, false);
  unsigned learned = 0;
  bool again = true;
  enum status status = OK;
  while (again) {
    status = ask_once(s3, exchange, &learned, &again);
  }
  return status;
}

/* opening ----------------------------------------------------------------------------------- */

enum status s3_open(const char *url, const struct s3_settings *settings, struct s3 **out) {
  struct s3 *s3 = calloc(1, sizeof *s3);
  if (s3 == NULL) {
    return fail(EXHAUSTED, "no memory for an S3 client");
  }
  enum status status = s3_place_read(url, settings->addressing, &s3->place);
  status = status == OK ? s3_keys_read(&s3->keys) : status;
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
  s3->give_up = settings->give_up;
  s3->give_up_context = settings->give_up_context;
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
