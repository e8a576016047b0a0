/* test_s3.c - one request and what its answer means, against a server that plays its part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "s3/s3.h"
#include "tests/unit/s3/canned_server.h"

static struct bytes body;

/* Opens a client of s3://pics/a, asks with it once, and closes it. */
static enum status ask(const char *answer, struct s3_exchange *exchange) {
  struct canned_server server;
  struct s3_settings settings = {0};
  struct s3 *s3 = NULL;
  canned_open(&server, &answer, 1);
  assert_int_equal(s3_open("s3://pics/a", &settings, &s3), OK);
  bytes_clear(&body);
  enum status status = s3_request(s3, exchange);
  s3_close(&s3);
  assert_null(s3);
  canned_close(&server);
  assert_int_equal(atomic_load(&server.requests), 1);
  assert_null(strstr(server.head, "secret"));
  return status;
}

static struct s3_exchange get_of(const char *key) {
  return (struct s3_exchange){.operation = "get", .method = "GET", .key = key, .body = &body};
}

static void content_and_headers_come_back(void **state) {
  (void)state;
  struct s3_exchange get = get_of("k");
  assert_int_equal(
      ask("HTTP/1.1 206 Partial\r\netag:\t \"abc\" \r\nCONTENT-RANGE: bytes 0-4/1234\r\n"
          "x-amz-request-id: r1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
          &get),
      OK);
  assert_string_equal(bytes_text(&body), "hello");
  assert_int_equal(get.code, 206);
  assert_int_equal(get.whole_bytes, 1234);
  assert_string_equal(get.etag, "abc");
  assert_string_equal(get.request_id, "r1");
  assert_string_equal(get.words.code, "");
}

static void as_little_as_http_permits_is_an_answer(void **state) {
  (void)state;
  static const char *const answers[] = {
      "HTTP/1.0 200\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
      "HTTP/1.1 100 Continue\r\nETag: \"of the hundred\"\r\n\r\n"
      "HTTP/1.1 203 \r\nConnection: close\r\n\r\nhello",
      "HTTP/1.1 201 Created\r\ncontent-range: nonsense\r\nConnection: close\r\n\r\nhello",
  };
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    struct s3_exchange get = get_of("k");
    assert_int_equal(ask(answers[i], &get), OK);
    assert_string_equal(bytes_text(&body), "hello");
    assert_string_equal(get.etag, "");
    assert_int_equal(get.whole_bytes, -1);
  }
}

static void a_store_may_wish_to_be_left_alone(void **state) {
  (void)state;
  static const struct {
    const char *answer;
    int64_t ms;
  } cases[] = {
      {"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\n\r\n", 7000},
      {"HTTP/1.1 503 Busy\r\nretry-after:999999999999999999999\r\nConnection: close\r\n\r\n",
       120000},
      {"HTTP/1.1 503 Busy\r\nRetry-After: Thu, 01 Jan 2015 12:00:00 GMT\r\n"
       "Connection: close\r\n\r\n",
       0},
      {"HTTP/1.1 503 Busy\r\nRetry-After: -5\r\nConnection: close\r\n\r\n", 0},
      {CANNED("503 Busy", ""), 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct s3_exchange get = get_of("k");
    assert_int_equal(ask(cases[i].answer, &get), UNAVAILABLE);
    assert_int_equal(get.retry_after_ms, cases[i].ms);
  }
}

static void refusals_that_pass_and_that_do_not(void **state) {
  (void)state;
  static const struct {
    const char *answer;
    long code;
    const char *error_code;
    enum status status;
  } cases[] = {
      {CANNED_ERROR("404 Not Found", "NoSuchKey"), 404, "NoSuchKey", BAD_INPUT},
      {CANNED_ERROR("403 Forbidden", "AccessDenied"), 403, "AccessDenied", EXHAUSTED},
      {CANNED("403 Forbidden", ""), 403, "", EXHAUSTED},
      {CANNED("404 Not Found", "no document"), 404, "", BAD_INPUT},
      {CANNED_ERROR("301 Moved", "PermanentRedirect"), 301, "PermanentRedirect", EXHAUSTED},
      {CANNED_ERROR("503 Busy", "SlowDown"), 503, "SlowDown", UNAVAILABLE},
      {CANNED_ERROR("400 Bad", "RequestTimeout"), 400, "RequestTimeout", UNAVAILABLE},
      {CANNED_ERROR("400 Bad", "ThrottlingException"), 400, "ThrottlingException", UNAVAILABLE},
      {CANNED("429 Too Many Requests", ""), 429, "", UNAVAILABLE},
      {CANNED("500 Oh", "no document"), 500, "", UNAVAILABLE},
      {"HTTP/1.1 307 Elsewhere\r\nLocation: /else\r\nConnection: close\r\n\r\n", 307, "",
       EXHAUSTED},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 0, "", UNAVAILABLE},
      {"not HTTP at all", 0, "", UNAVAILABLE},
      {NULL, 0, "", UNAVAILABLE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct s3_exchange get = get_of("k");
    assert_int_equal(ask(cases[i].answer, &get), cases[i].status);
    assert_int_equal(get.code, cases[i].code);
    assert_string_equal(get.words.code, cases[i].error_code);
    assert_int_equal(strncmp(fail_reason(), "s3 get: ", 8), 0);
  }
}

static void content_that_does_not_fit_is_not_taken(void **state) {
  (void)state;
  struct bytes small;
  bytes_open(&small, 3);
  struct s3_exchange get = get_of("k");
  get.body = &small;
  assert_int_equal(ask(CANNED("200 OK", "four"), &get), EXHAUSTED);
  bytes_close(&small);
}

static void a_refusal_longer_than_we_keep_is_still_one(void **state) {
  (void)state;
  static char answer[200 * 1024];
  int head = snprintf(answer, sizeof answer, "%s", CANNED_ERROR("403 No", "AccessDenied"));
  memset(answer + head, 'x', sizeof answer - (size_t)head - 1);
  struct s3_exchange get = get_of("k");
  assert_int_equal(ask(answer, &get), EXHAUSTED);
  assert_string_equal(get.words.code, "AccessDenied");
}

static void a_request_is_signed_and_can_be_repeated(void **state) {
  (void)state;
  static const char *const answers[] = {CANNED_ERROR("503 Busy", "SlowDown"),
                                        CANNED("200 OK", "x")};
  struct canned_server server;
  struct s3_settings settings = {.addressing = S3_ADDRESSING_PATH};
  struct s3 *s3 = NULL;
  setenv("AWS_SESSION_TOKEN", "a-token", 1);
  canned_open(&server, answers, 2);
  assert_int_equal(s3_open("s3://pics/a b", &settings, &s3), OK);
  struct s3_exchange get = get_of("k+1");
  get.headers[get.header_count++] = (struct sigv4_pair){"x-amz-meta-of", "us"};
  assert_int_equal(s3_request(s3, &get), UNAVAILABLE);
  assert_int_equal(s3_request(s3, &get), OK);
  assert_int_equal(get.header_count, 1);
  static const char *const lines[] = {
      "GET /pics/a%20b/k%2B1 HTTP/1.1\r\n", "\r\nx-amz-security-token: a-token\r\n",
      "\r\nx-amz-meta-of: us\r\n",
      "/eu-test-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
      "x-amz-meta-of;x-amz-security-token, Signature="};
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    assert_non_null(strstr(server.head, lines[i]));
  }
  assert_null(strstr(server.head, "Expect"));
  unsetenv("AWS_SESSION_TOKEN");
  s3_close(&s3);
  canned_close(&server);
}

/* A refusal that teaches something, and the request that must follow at once. */
static const struct lesson {
  const char *answer;
  const char *afterwards; /* in the head of the next request */
  bool skewed, moved;
} lessons[] = {
    {"HTTP/1.1 403 No\r\nDate: Thu, 01 Jan 2015 12:00:00 GMT\r\nConnection: close\r\n\r\n"
     "<Error><Code>RequestTimeTooSkewed</Code></Error>",
     "x-amz-date: 20150101T120", true, false},
    /* some say it in other words, or in none */
    {"HTTP/1.1 401 No\r\nDate: Thu, 01 Jan 2015 12:00:00 GMT\r\nConnection: close\r\n\r\n",
     "x-amz-date: 20150101T120", true, false},
    {CANNED("400 Bad",
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is "
            "wrong</Message><Region>ap-south-1</Region></Error>"),
     "/ap-south-1/s3/aws4_request", false, true},
    {"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: us-west-2\r\nConnection: close\r\n"
     "Location: http://127.0.0.1:9/\r\n\r\n",
     "/us-west-2/s3/aws4_request", false, true},
    {"HTTP/1.1 403 No\r\nX-Amz-Bucket-Region:us-west-2\r\nConnection: close\r\n\r\n",
     "/us-west-2/s3/aws4_request", false, true},
};

static void a_refusal_that_teaches_is_asked_again(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof lessons / sizeof lessons[0]; i++) {
    const char *const answers[] = {lessons[i].answer, CANNED("200 OK", "x")};
    struct canned_server server;
    struct s3_settings settings = {0};
    struct s3 *s3 = NULL;
    canned_open(&server, answers, 2);
    assert_int_equal(s3_open("s3://pics", &settings, &s3), OK);
    struct s3_exchange get = get_of("k");
    assert_int_equal(s3_request(s3, &get), OK);
    assert_int_equal(get.skew_ms < -1000, lessons[i].skewed);
    assert_int_equal(get.moved, lessons[i].moved);
    assert_non_null(strstr(server.head, lessons[i].afterwards));
    assert_int_equal(s3_request(s3, &get), OK); /* and it is not forgotten */
    assert_int_equal(get.skew_ms, 0);
    assert_non_null(strstr(server.head, lessons[i].afterwards));
    assert_int_equal(atomic_load(&server.requests), 3);
    s3_close(&s3);
    canned_close(&server);
  }
}

/* A server that teaches for ever, or what cannot be, is not followed. */
static void a_lesson_is_learned_once(void **state) {
  (void)state;
  static const struct {
    const char *answers[2];
    int requests;
  } cases[] = {
      {{CANNED("400 Bad", "<Error><Region>a-1</Region></Error>"),
        CANNED("400 Bad", "<Error><Region>b-1</Region></Error>")},
       2},
      {{CANNED("400 Bad", "<Error><Region>x.example/</Region></Error>"), NULL}, 1},
      {{CANNED("400 Bad", "<Error><Region>eu-test-1</Region></Error>"), NULL}, 1},
      {{"HTTP/1.1 403 No\r\nDate: Thu, 01 Jan 2015 12:00:00 GMT\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 403 No\r\nDate: Thu, 01 Jan 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n"},
       2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct canned_server server;
    struct s3_settings settings = {0};
    struct s3 *s3 = NULL;
    canned_open(&server, cases[i].answers, 2);
    assert_int_equal(s3_open("s3://pics", &settings, &s3), OK);
    struct s3_exchange get = get_of("k");
    assert_int_equal(s3_request(s3, &get), EXHAUSTED);
    assert_int_equal(atomic_load(&server.requests), cases[i].requests);
    s3_close(&s3);
    canned_close(&server);
  }
}

static void nobody_there_and_somebody_leaving(void **state) {
  (void)state;
  static const char *const answers[] = {NULL};
  struct canned_server server;
  canned_open(&server, answers, 1);
  canned_close(&server);
  struct s3 *s3 = NULL;
  struct s3_settings settings = {0};
  assert_int_equal(s3_open("s3://pics", &settings, &s3), OK);
  struct s3_exchange get = get_of("k");
  assert_int_equal(s3_request(s3, &get), UNAVAILABLE);
  assert_int_equal(get.code, 0);
  s3_close(&s3);
  atomic_bool leaving = true;
  settings.leaving = &leaving;
  assert_int_equal(s3_open("s3://pics", &settings, &s3), OK);
  assert_int_equal(s3_request(s3, &get), UNAVAILABLE);
  s3_close(&s3);
}

/* It takes the connection and says nothing: nobody ever accepts what the kernel has taken. */
static void leaving_does_not_wait_for_a_server_that_hangs(void **state) {
  (void)state;
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof here;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof here), 0);
  assert_int_equal(listen(listener, 1), 0);
  getsockname(listener, (struct sockaddr *)&here, &size);
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", ntohs(here.sin_port));
  setenv("AWS_ENDPOINT_URL_S3", endpoint, 1);
  atomic_bool leaving = true;
  struct s3_settings settings = {.leaving = &leaving, .transfer_ms = 5000};
  struct s3 *s3 = NULL;
  assert_int_equal(s3_open("s3://pics", &settings, &s3), OK);
  struct s3_exchange get = get_of("k");
  assert_int_equal(s3_request(s3, &get), UNAVAILABLE);
  assert_non_null(strstr(fail_reason(), "aborted")); /* and not: timed out */
  s3_close(&s3);
  close(listener);
}

static int open_body(void **state) {
  (void)state;
  bytes_open(&body, 1 << 20);
  return 0;
}

static int close_body(void **state) {
  (void)state;
  bytes_close(&body);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(content_and_headers_come_back),
      cmocka_unit_test(refusals_that_pass_and_that_do_not),
      cmocka_unit_test(content_that_does_not_fit_is_not_taken),
      cmocka_unit_test(a_refusal_longer_than_we_keep_is_still_one),
      cmocka_unit_test(a_request_is_signed_and_can_be_repeated),
      cmocka_unit_test(as_little_as_http_permits_is_an_answer),
      cmocka_unit_test(a_store_may_wish_to_be_left_alone),
      cmocka_unit_test(a_refusal_that_teaches_is_asked_again),
      cmocka_unit_test(a_lesson_is_learned_once),
      cmocka_unit_test(nobody_there_and_somebody_leaving),
      cmocka_unit_test(leaving_does_not_wait_for_a_server_that_hangs),
  };
  return cmocka_run_group_tests(tests, open_body, close_body);
}
