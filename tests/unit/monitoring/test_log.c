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
#include "base/limits.h"
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
  log_event("job_succeeded", log_text("job", "j1"), log_number("ms", -12), log_real("rate", 1.5, 2),
            log_text("where", "host:80"), log_count("big", UINT64_MAX));
  log_event("bare");
  assert_string_equal(end_capture(), HEAD
                      "job_succeeded job=j1 ms=-12 rate=1.50 where=host:80 "
                      "big=18446744073709551615\n" HEAD "bare\n");
}

static void test_values_cannot_forge_pairs(void **state) {
  (void)state;
  begin_capture();
  log_event("e", log_text("why", "a b\" level=error\n\x1b[31m\xff="), log_number("next", 1));
  log_event("e", log_text("empty", ""), log_text("null", NULL));
  log_event("e", log_text("pair", "b=c"), log_text("csi", "\xc2\x9b"));
  assert_string_equal(end_capture(),
                      HEAD "e why=\"a b\\\" level=error\\u000a\\u001b[31m\\ufffd=\" next=1\n" HEAD
                           "e empty=\"\" null=\"\"\n" HEAD "e pair=\"b=c\" csi=\"\\u009b\"\n");
}

static void test_levels(void **state) {
  (void)state;
  begin_capture();
  log_debug("unseen");
  log_warning("seen");
  log_error("seen");
  const char *text = end_capture();
  assert_null(strstr(text, "unseen"));
  assert_non_null(strstr(text, "level=warning"));
  assert_non_null(strstr(text, "level=error"));
}

static void test_json(void **state) {
  (void)state;
  log_open("worker", LOG_JSON, LOG_DEBUG);
  begin_capture();
  log_event("e", log_number("n", -5), log_real("f", 0.25, 2),
            log_text("text", "a\"b\\c\n\xc3\xa9\xc3"), log_real("nan", NAN, 1),
            log_text("id", "12"), log_text("utf", "\xe2\x80\xa8"));
  json_error_t error;
  json_t *line = json_loads(end_capture(), JSON_REJECT_DUPLICATES, &error);
  assert_non_null(line);
  assert_int_equal(json_integer_value(json_object_get(line, "n")), -5);
  assert_true(json_real_value(json_object_get(line, "f")) == 0.25);
  assert_string_equal(json_string_value(json_object_get(line, "text")),
                      "a\"b\\c\n\xc3\xa9\xef\xbf\xbd");
  assert_true(json_is_string(json_object_get(line, "nan")));
  assert_true(json_is_string(json_object_get(line, "id")));
  assert_string_equal(json_string_value(json_object_get(line, "component")), "worker");
  json_decref(line);
}

static void test_long_values_are_cut_and_lines_end(void **state) {
  (void)state;
  static char text[20000];
  memset(text, '\x01', sizeof text - 1);
  log_open("worker", LOG_JSON, LOG_DEBUG);
  begin_capture();
  log_event("e", log_text("a", text), log_text("b", text), log_text("c", text));
  const char *line = end_capture();
  assert_true(strlen(line) <= LOG_LINE_BYTES_MAX);
  assert_int_equal(line[strlen(line) - 1], '\n');
  json_t *parsed = json_loads(line, 0, NULL);
  assert_non_null(parsed);
  json_decref(parsed);
}

static void *write_lines(void *name) {
  for (int i = 0; i < 200; i++) {
    log_event("tick", log_text("thread", name), log_number("i", i));
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

static size_t lines_of(const char *text, const char *event) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, event)) != NULL; at += strlen(event)) {
    count++;
  }
  return count;
}

/* What peers cause as fast as they can send is written at a bounded rate, and the rest is counted:
 * each name for itself, and changes of state always. */
static void test_floods_are_bounded_by_cause(void **state) {
  (void)state;
  begin_capture();
  for (int i = 0; i < 10 * LOG_LINES_PER_SECOND_MAX; i++) {
    log_warning("refused", log_number("i", i));
    log_event("changed");
  }
  log_error("other");
  clock_move(999);
  log_warning("refused");
  clock_move(1);
  log_tend();
  log_tend();
  log_warning("refused");
  const char *text = end_capture();
  assert_int_equal(lines_of(text, "event=refused"), LOG_LINES_PER_SECOND_MAX + 1);
  assert_int_equal(lines_of(text, "event=changed"), 10 * LOG_LINES_PER_SECOND_MAX);
  assert_int_equal(lines_of(text, "event=other"), 1);
  char left_out[64];
  snprintf(left_out, sizeof left_out, "event=lines_left_out of=refused lines=%d\n",
           9 * LOG_LINES_PER_SECOND_MAX + 1);
  assert_int_equal(lines_of(text, left_out), 1);
  assert_int_equal(lines_of(text, "lines_left_out"), 1);
}

/* More names than there are rows: the last row is shared, nothing is written past the table. */
static void test_more_names_than_rows(void **state) {
  (void)state;
  static char names[LOG_CAUSES_MAX * 10][16];
  begin_capture();
  for (int i = 0; i < LOG_CAUSES_MAX * 10; i++) {
    snprintf(names[i], sizeof names[i], "name%d", i);
    log_warning(names[i]);
  }
  size_t lines = lines_of(end_capture(), "event=name");
  assert_in_range(lines, LOG_CAUSES_MAX / 2, LOG_CAUSES_MAX - 1 + LOG_LINES_PER_SECOND_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_logfmt, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_values_cannot_forge_pairs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_long_values_are_cut_and_lines_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_floods_are_bounded_by_cause, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_more_names_than_rows, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_threads_write_whole_lines, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
