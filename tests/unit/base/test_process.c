/* test_process.c - the two ends of a program, each played in a child of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/process.h"

/* What a child that plays this leaves with. */
static int play(int (*played)(const void *with), const void *with) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    _exit(played(with));
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* ---- the beginning ---- */

enum { FINE = 0, NOT_BEGUN, NOT_FILLED, NOT_NOTED, NOT_NULL, NOT_NEXT };

static int begin_without(const void *with) {
  const bool *closed = with;
  for (int i = 0; i < 3; i++) {
    if (closed[i]) {
      close(i);
    }
  }
  if (process_begin(NULL) != OK) {
    return NOT_BEGUN;
  }
  char byte = 0;
  for (int i = 0; i < 3; i++) {
    if (fcntl(i, F_GETFD) < 0) {
      return NOT_FILLED;
    }
    if (process_lacked(i) != closed[i]) {
      return NOT_NOTED;
    }
    if (closed[i] && (read(i, &byte, 1) != 0 || write(i, "x", 1) != 1)) {
      return NOT_NULL;
    }
  }
  int next = open("/dev/null", O_RDONLY);
  return next > 2 ? FINE : NOT_NEXT;
}

static void test_missing_descriptors_are_filled(void **state) {
  (void)state;
  for (int bits = 0; bits < 8; bits++) {
    bool closed[3] = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    assert_int_equal(play(begin_without, closed), FINE);
  }
}

static int begin_with_nothing_to_open(const void *with) {
  (void)with;
  close(0);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0});
  return process_begin(NULL);
}

static void test_nothing_can_be_opened(void **state) {
  (void)state;
  assert_int_equal(play(begin_with_nothing_to_open, NULL), EXHAUSTED);
}

static int write_to_nobody(const void *with) {
  (void)with;
  int pair[2];
  if (process_begin(NULL) != OK || pipe(pair) != 0) {
    return NOT_BEGUN;
  }
  close(pair[0]);
  return write(pair[1], "x", 1) == -1 && errno == EPIPE ? FINE : NOT_FILLED;
}

static void test_a_lost_reader_is_an_error_of_the_write(void **state) {
  (void)state;
  assert_int_equal(play(write_to_nobody, NULL), FINE);
}

/* ---- open files ---- */

static int want_of_limit(const void *with) {
  const int *numbers = with; /* soft, hard, wanted */
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)numbers[0], (rlim_t)numbers[1]});
  return process_want_files(numbers[2]);
}

static void test_the_limit_of_open_files(void **state) {
  (void)state;
  assert_int_equal(play(want_of_limit, (const int[]){16, 64, 64}), OK);
  assert_int_equal(play(want_of_limit, (const int[]){16, 63, 64}), BAD_INPUT);
  assert_int_equal(play(want_of_limit, (const int[]){64, 64, 32}), OK);
}

/* ---- the end ---- */

struct output {
  int (*open)(void);
  const char *text;
  size_t times; /* more than stdio keeps, or not */
  enum exit_code code;
};

static int end_with(const void *with) {
  const struct output *output = with;
  dup2(output->open(), STDOUT_FILENO);
  if (process_begin(NULL) != OK) {
    return NOT_BEGUN;
  }
  for (size_t i = 0; i < output->times; i++) {
    fputs(output->text, stdout);
  }
  return (int)process_end("test", output->code);
}

static int open_null(void) { return open("/dev/null", O_WRONLY); }
static int open_full(void) { return open("/dev/full", O_WRONLY); }
static int open_lost(void) {
  int pair[2];
  assert_int_equal(pipe(pair), 0);
  close(pair[0]);
  return pair[1];
}

static void test_what_became_of_stdout(void **state) {
  (void)state;
  static const struct {
    struct output output;
    enum exit_code code;
  } cases[] = {
      {{open_null, "x", 1, EXIT_CODE_OK}, EXIT_CODE_OK},
      {{open_full, "x", 0, EXIT_CODE_OK}, EXIT_CODE_OK}, /* nothing was to be said */
      {{open_full, "x", 1, EXIT_CODE_OK}, EXIT_CODE_CANNOT_WRITE},
      {{open_full, "x\n", 100000, EXIT_CODE_OK}, EXIT_CODE_CANNOT_WRITE},
      {{open_full, "x", 1, EXIT_CODE_JOB}, EXIT_CODE_JOB}, /* the first fault is the one told */
      {{open_lost, "x", 1, EXIT_CODE_OK}, EXIT_CODE_CLOSED_PIPE},
      {{open_lost, "x\n", 100000, EXIT_CODE_OK}, EXIT_CODE_CLOSED_PIPE},
      {{open_lost, "x", 0, EXIT_CODE_OK}, EXIT_CODE_OK},
      {{open_lost, "x", 1, EXIT_CODE_USAGE}, EXIT_CODE_USAGE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(play(end_with, &cases[i].output), cases[i].code);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_missing_descriptors_are_filled),
      cmocka_unit_test(test_nothing_can_be_opened),
      cmocka_unit_test(test_a_lost_reader_is_an_error_of_the_write),
      cmocka_unit_test(test_the_limit_of_open_files),
      cmocka_unit_test(test_what_became_of_stdout),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
