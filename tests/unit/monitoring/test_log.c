/* test_log.c - lines as operators and machines read them; no value can pass for another pair. */
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/clock.h"
#include "monitoring/log.h"

static int file = -1;
static int kept = -1;
static char captured[1 << 20];

/* From here to end_capture stderr goes to a file. */
static void begin_capture(void) {
  char path[] = "/tmp/darkroom-test-log-XXXXXX";
  file = mkstemp(path);
  unlink(path);
  kept = dup(STDERR_FILENO);
  dup2(file, STDERR_FILENO);
}

static const char *end_capture(void) {
  dup2(kept, STDERR_FILENO);
  close(kept);
  ssize_t bytes = pread(file, captured, sizeof captured - 1, 0);
  captured[bytes > 0 ? bytes : 0] = '\0';
  close(file);
  return captured;
}

static int set_up(void **state) {
  (void)state;
  clock_hold(0, 1700000000123);
  log_open("broker", LOG_LOGFMT, LOG_INFO);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  clock_let_go();
  return 0;
}

#define HEAD "ts=2023-11-14T22:13:20.123Z level=info component=broker event="

static void test_logfmt(void **state) {
  (void)state;
  begin_capture();
  log_event("job_succeeded", "job=%s ms=%d rate=%.2f where=%s:%d big=%llu size=%zu star=%.*s", "j1",
            12, 1.5, "host", 80, 1ULL << 60, (size_t)7, 3, "abcdef");
  log_event("bare", NULL);
  log_event("integers", "u=%u x=%#x c=%c i=%5d ld=%ld hu=%hu llu=%llu zero=%%", UINT32_MAX, 255U,
            'c', -3, -4L, (unsigned short)65535, (unsigned long long)UINT64_MAX);
  assert_string_equal(
      end_capture(), HEAD
      "job_succeeded job=j1 ms=12 rate=1.50 where=host:80 big=1152921504606846976 size=7 "
      "star=abc\n" HEAD "bare\n" HEAD
      "integers u=4294967295 x=0xff c=c i=\"   -3\" ld=-4 hu=65535 "
      "llu=18446744073709551615 zero=%\n");
}

static void test_values_cannot_forge_pairs(void **state) {
  (void)state;
  begin_capture();
  log_event("e", "why=%s next=%d", "a b\" level=error\n\x1b[31m\xff=", 1);
  const char *volatile none = NULL;
  log_event("e", "empty=%s null=%s", "", none);
  assert_string_equal(end_capture(),
                      HEAD "e why=\"a b\\\" level=error\\u000a\\u001b[31m\\ufffd=\" next=1\n" HEAD
                           "e empty=\"\" null=\"\"\n");
}

static void test_levels(void **state) {
  (void)state;
  begin_capture();
  log_debug("unseen", NULL);
  log_warning("seen", NULL);
  log_error("seen", NULL);
  const char *text = end_capture();
  assert_null(strstr(text, "unseen"));
  assert_non_null(strstr(text, "level=warning"));
  assert_non_null(strstr(text, "level=error"));
}

static void test_json(void **state) {
  (void)state;
  log_open("worker", LOG_JSON, LOG_DEBUG);
  begin_capture();
  log_event("e", "n=%d f=%g text=%s nan=%g id=%s hex=%x zero=%03d mixed=%d/%d utf=%s", -5, 0.25,
            "a\"b\\c\n\xc3\xa9\xc3", NAN, "12", 255, 7, 1, 2, "\xe2\x80\xa8");
  json_error_t error;
  json_t *line = json_loads(end_capture(), JSON_REJECT_DUPLICATES, &error);
  assert_non_null(line);
  assert_int_equal(json_integer_value(json_object_get(line, "n")), -5);
  assert_true(json_real_value(json_object_get(line, "f")) == 0.25);
  assert_string_equal(json_string_value(json_object_get(line, "text")),
                      "a\"b\\c\n\xc3\xa9\xef\xbf\xbd");
  assert_true(json_is_string(json_object_get(line, "nan")));
  assert_true(json_is_string(json_object_get(line, "id")));
  assert_true(json_is_string(json_object_get(line, "hex")));
  assert_true(json_is_string(json_object_get(line, "zero")));
  assert_string_equal(json_string_value(json_object_get(line, "mixed")), "1/2");
  assert_string_equal(json_string_value(json_object_get(line, "component")), "worker");
  json_decref(line);
}

static void test_long_values_are_cut_and_lines_end(void **state) {
  (void)state;
  static char text[20000];
  memset(text, '\x01', sizeof text - 1);
  log_open("worker", LOG_JSON, LOG_DEBUG);
  begin_capture();
  log_event("e", "a=%s b=%s c=%s", text, text, text);
  const char *line = end_capture();
  assert_true(strlen(line) <= LOG_LINE_BYTES_MAX);
  assert_int_equal(line[strlen(line) - 1], '\n');
  json_t *parsed = json_loads(line, 0, NULL);
  assert_non_null(parsed);
  json_decref(parsed);
}

static void *write_lines(void *name) {
  for (int i = 0; i < 200; i++) {
    log_event("tick", "thread=%s i=%d", (const char *)name, i);
  }
  return NULL;
}

static void test_threads_write_whole_lines(void **state) {
  (void)state;
  pthread_t thread[4];
  begin_capture();
  for (int i = 0; i < 4; i++) {
    pthread_create(&thread[i], NULL, write_lines, (void *)(i % 2 == 0 ? "even" : "odd"));
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(thread[i], NULL);
  }
  char *rest = (char *)end_capture();
  int lines = 0;
  for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
    assert_int_equal(strncmp(line, HEAD "tick thread=", strlen(HEAD "tick thread=")), 0);
    lines++;
  }
  assert_int_equal(lines, 800);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_logfmt, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_values_cannot_forge_pairs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_long_values_are_cut_and_lines_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_threads_write_whole_lines, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
