/* https.c - libcurl, told to do nothing on its own. */
#include "store/https.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "s3/variable.h"

enum { CONNECT_MS = 5000, TRANSFER_MS = 300000, LOW_SPEED_SECONDS = 30, RETRY_SECONDS_MAX = 120 };

struct transfer {
  struct reader *reader;
  struct bytes *content;
  struct read_result *reading;
  char error[CURL_ERROR_SIZE];
};

static size_t take_body(char *data, size_t size, size_t count, void *context) {
  struct transfer *transfer = context;
  long code = 0;
  curl_easy_getinfo(transfer->reader->https, CURLINFO_RESPONSE_CODE, &code);
  if (code != 200) {
    return size * count; /* what a refusal says is for people with a browser */
  }
  transfer->reading->too_large = bytes_append(transfer->content, data, size * count) != OK;
  return transfer->reading->too_large ? 0 : size * count;
}

static int give_up(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                   curl_off_t up) {
  (void)total_down, (void)total_up, (void)up;
  const struct s3_settings *settings = context;
  bool leaving = settings->leaving != NULL && atomic_load(settings->leaving);
  return leaving || (settings->give_up != NULL &&
                     settings->give_up(settings->give_up_context, (uint64_t)down));
}

static void set_transport(CURL *curl, const struct s3_settings *settings) {
  const char *bundle = s3_variable("AWS_CA_BUNDLE", NULL);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  curl_easy_setopt(curl, CURLOPT_PROXY, settings->proxy != NULL ? settings->proxy : "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   settings->connect_ms > 0 ? (long)settings->connect_ms : (long)CONNECT_MS);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                   settings->transfer_ms > 0 ? (long)settings->transfer_ms : (long)TRANSFER_MS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)LOW_SPEED_SECONDS);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, give_up);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, settings);
  if (bundle != NULL && bundle[0] != '\0') {
    curl_easy_setopt(curl, CURLOPT_CAINFO, bundle);
  }
}

static bool passing(long code) { return code == 408 || code == 425 || code == 429 || code >= 500; }

static enum status judge(CURL *curl, CURLcode result, struct transfer *transfer) {
  struct read_result *reading = transfer->reading;
  curl_off_t after = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reading->http);
  curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after);
  after = after > RETRY_SECONDS_MAX ? RETRY_SECONDS_MAX : after;
  reading->retry_after_ms = (int64_t)after * 1000;
  if (reading->too_large) {
    return fail(EXHAUSTED, "https: it has more than %zu bytes", transfer->content->max);
  }
  if (result != CURLE_OK) {
    reading->http = 0;
    return fail(UNAVAILABLE, "https: %s",
                transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(result));
  }
  if (reading->http == 200) {
    return OK;
  }
  return fail(passing(reading->http) ? UNAVAILABLE : BAD_INPUT, "https: HTTP %ld%s", reading->http,
              reading->http / 100 == 3 ? " (redirects are not followed)" : "");
}

enum status https_read(struct reader *reader, const char *url, struct bytes *content,
                       struct read_result *how) {
  reader->https = reader->https != NULL ? reader->https : curl_easy_init();
  CURL *curl = reader->https;
  if (curl == NULL) {
    return fail(EXHAUSTED, "no memory for libcurl");
  }
  struct transfer transfer = {.reader = reader, .content = content, .reading = how};
  curl_easy_reset(curl); /* keeps the connections */
  set_transport(curl, &reader->s3);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  return judge(curl, curl_easy_perform(curl), &transfer);
}

void https_close(struct reader *reader) {
  if (reader->https != NULL) {
    curl_easy_cleanup(reader->https);
    reader->https = NULL;
  }
}
