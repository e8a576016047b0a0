/* test_health.c - the admin port as a scraper and a load balancer meet it. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/bytes.h"
#include "base/limits.h"
#include "monitoring/health.h"
#include "monitoring/metrics.h"

static bool is_ready = true;
static const char *amiss = ""; /* what is amiss though it is ready */
static long request_ms = 10000;
static struct health *health;

static bool ready(void *context, char *reason, size_t reason_bytes) {
  assert_ptr_equal(context, &is_ready);
  snprintf(reason, reason_bytes, "%s", is_ready ? amiss : "redis is away");
  return is_ready;
}

static int start(void **state) {
  (void)state;
  is_ready = true;
  struct health_options options = {"127.0.0.1:0", "9.9.9", ready, &is_ready};
  metrics_open(METRICS_OF_BROKER, "9.9.9");
  return health_open(&options, &health) == OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  health_close(&health);
  return health == NULL ? 0 : -1;
}

static size_t collect(char *data, size_t size, size_t count, void *out) {
  return bytes_append(out, data, size * count) == OK ? size * count : 0;
}

struct answer {
  long code;
  char type[128];
  struct bytes body;
};

static void request(const char *path, const char *method, struct answer *answer) {
  char url[128];
  char *type = NULL;
  snprintf(url, sizeof url, "http://127.0.0.1:%d%s", health_port(health), path);
  bytes_open(&answer->body, 1 << 20);
  CURL *curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, request_ms);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body);
  if (strcmp(method, "POST") == 0) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "some=body");
  }
  assert_int_equal(curl_easy_perform(curl), CURLE_OK);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->code);
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  snprintf(answer->type, sizeof answer->type, "%s", type != NULL ? type : "");
  curl_easy_cleanup(curl);
}

static void expect(const char *method, const char *path, long code, const char *body) {
  struct answer answer;
  request(path, method, &answer);
  assert_int_equal(answer.code, code);
  if (body != NULL) {
    assert_string_equal(bytes_text(&answer.body), body);
  }
  bytes_close(&answer.body);
}

static void test_pages(void **state) {
  (void)state;
  expect("GET", "/healthz", 200, "ok\n");
  expect("GET", "/readyz", 200, "ready\n");
  expect("GET", "/version", 200, "9.9.9\n");
  expect("HEAD", "/healthz", 200, "");
  expect("GET", "/", 404, NULL);
  expect("GET", "/metrics/x", 404, NULL);
  expect("POST", "/metrics", 405, NULL);
  expect("DELETE", "/healthz", 405, NULL);
  expect("POST", "/nowhere", 404, NULL);
}

static void test_not_ready_says_why(void **state) {
  (void)state;
  amiss = "one of two is away";
  expect("GET", "/readyz", 200, "ready: one of two is away\n");
  amiss = "";
  is_ready = false;
  expect("GET", "/readyz", 503, "not ready: redis is away\n");
  expect("GET", "/healthz", 200, "ok\n");
}

static void test_metrics_have_prometheus_content_type(void **state) {
  (void)state;
  struct answer answer;
  request("/metrics", "GET", &answer);
  assert_int_equal(answer.code, 200);
  assert_string_equal(answer.type, "text/plain; version=0.0.4; charset=utf-8");
  assert_non_null(strstr(bytes_text(&answer.body), "darkroom_build_info{version=\"9.9.9\"} 1"));
  bytes_close(&answer.body);
}

static void test_bad_addresses(void **state) {
  (void)state;
  static const char *const bad[] = {"nowhere",     "127.0.0.1",       "127.0.0.1:",
                                    "127.0.0.1:x", "127.0.0.1:65536", "no.such.host.invalid:1"};
  struct health *other = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct health_options options = {.address = bad[i], .version = "1"};
    assert_int_equal(health_open(&options, &other), BAD_INPUT);
  }
  char taken[32];
  snprintf(taken, sizeof taken, "127.0.0.1:%d", health_port(health));
  struct health_options options = {.address = taken, .version = "1"};
  assert_int_equal(health_open(&options, &other), UNAVAILABLE);
  assert_null(other);
  assert_non_null(strstr(fail_reason(), "is in use by another program"));
  options.address = "[::1]:0";
  enum status status = health_open(&options, &other); /* a machine may have no IPv6 */
  assert_true(status == OK || status == UNAVAILABLE);
  health_close(&other);
}

/* ---- those who hold on and say nothing ---- */

enum { SILENT_MAX = 200 };
static int silent[SILENT_MAX];

/* A connection to the admin port over loopback that has said so much. */
static int connection(const char *said) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)health_port(health)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  assert_int_equal(write(fd, said, strlen(said)), strlen(said));
  return fd;
}

static void hold_open(size_t count, const char *said) {
  for (size_t i = 0; i < count; i++) {
    silent[i] = connection(said);
  }
}

static void let_go(size_t count) {
  for (size_t i = 0; i < count; i++) {
    close(silent[i]);
  }
}

/* Sooner than the silent are given up by the clock (10 s). */
static void expect_pages_at_once(void) {
  request_ms = 5000;
  for (int i = 0; i < 3; i++) {
    expect("GET", "/healthz", 200, "ok\n");
    expect("GET", "/metrics", 200, NULL);
    expect("GET", "/readyz", 200, "ready\n");
  }
  request_ms = 10000;
}

/* Nothing at all, the beginning of a request, a whole one whose answer is not read. */
static void test_silent_connections_keep_nobody_out(void **state) {
  (void)state;
  static const char *const saids[] = {"", "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
                                      "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"};
  static const size_t counts[] = {32, 33, SILENT_MAX};
  for (size_t i = 0; i < sizeof saids / sizeof saids[0]; i++) {
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
      hold_open(counts[k], saids[i]);
      expect_pages_at_once();
      let_go(counts[k]);
      expect_pages_at_once();
    }
  }
}

static void ask_over(int fd) {
  static const char ask[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  char answer[1024];
  assert_int_equal(write(fd, ask, sizeof ask - 1), sizeof ask - 1);
  ssize_t bytes = read(fd, answer, sizeof answer - 1);
  assert_true(bytes > 0);
  answer[bytes] = '\0';
  assert_non_null(strstr(answer, "200 OK"));
}

/* Its connection is ended from the other side. */
static bool shown_out(int fd) {
  char nothing;
  struct pollfd item = {.fd = fd, .events = POLLIN};
  return poll(&item, 1, 5000) == 1 && read(fd, &nothing, 1) == 0;
}

/* Who has asked lately stays, a scraper's connection say, when others come and say nothing: those
 * who have been silent for longest go. Each page that is asked for anew shows that everybody before
 * has been let in; whether its own connection still counts is not known, so the last of those that
 * may have to go is left out. */
static void test_the_silent_make_room_first(void **state) {
  (void)state;
  enum { ROOM = HEALTH_CONNECTIONS_KEPT - 2, MORE = 20 };
  int scraper = connection("");
  hold_open(ROOM, "");
  expect("GET", "/version", 200, "9.9.9\n");
  for (size_t i = ROOM; i < ROOM + MORE; i++) {
    ask_over(scraper);
    silent[i] = connection("");
  }
  expect("GET", "/version", 200, "9.9.9\n");
  for (size_t i = 0; i + 2 < MORE; i++) {
    assert_true(shown_out(silent[i]));
  }
  ask_over(scraper);
  let_go(ROOM + MORE);
  close(scraper);
}

/* select() knows no descriptor beyond 1023. */
static void test_a_process_with_many_descriptors(void **state) {
  (void)state;
  enum { MANY = 1100 };
  static int taken[MANY];
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < MANY + 100) {
    skip();
  }
  for (size_t i = 0; i < MANY; i++) {
    taken[i] = open("/dev/null", O_RDONLY);
    assert_true(taken[i] >= 0);
  }
  expect_pages_at_once();
  for (size_t i = 0; i < MANY; i++) {
    close(taken[i]);
  }
}

/* localhost without anybody to ask for it; all addresses with and without IPv6. */
static void test_good_addresses(void **state) {
  (void)state;
  static const char *const good[] = {"localhost:0", "LocalHost:0", "localhost.:0",
                                     ":0",          "0.0.0.0:0",   "127.0.0.1:0"};
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    health_close(&health);
    struct health_options options = {good[i], "9.9.9", ready, &is_ready};
    assert_int_equal(health_open(&options, &health), OK);
    expect("GET", "/healthz", 200, "ok\n");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_pages, start, stop),
      cmocka_unit_test_setup_teardown(test_not_ready_says_why, start, stop),
      cmocka_unit_test_setup_teardown(test_metrics_have_prometheus_content_type, start, stop),
      cmocka_unit_test_setup_teardown(test_bad_addresses, start, stop),
      cmocka_unit_test_setup_teardown(test_good_addresses, start, stop),
      cmocka_unit_test_setup_teardown(test_silent_connections_keep_nobody_out, start, stop),
      cmocka_unit_test_setup_teardown(test_the_silent_make_room_first, start, stop),
      cmocka_unit_test_setup_teardown(test_a_process_with_many_descriptors, start, stop),
  };
  curl_global_init(CURL_GLOBAL_ALL);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
