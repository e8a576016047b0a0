/* test_identity.c - the same spool is the same daemon, another spool another one. */
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

#include "proto/job.h"
#include "store/files.h"
#include "worker/identity.h"

static char folder[2][64];
static struct options options;

static int setup(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    snprintf(folder[i], sizeof folder[i], "/tmp/darkroom-identity-XXXXXX");
    assert_non_null(mkdtemp(folder[i]));
  }
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(file_remove_folder(folder[i]), OK);
  }
  return 0;
}

/* One life of a daemon. */
static struct identity live(const char *spool, const char *name) {
  struct identity identity = {0};
  int lock = -1;
  options = (struct options){.spool = spool, .name = name};
  assert_int_equal(identity_take(&options, &lock, &identity), OK);
  close(lock);
  return identity;
}

static void a_token_and_a_name_outlive_the_daemon(void **state) {
  (void)state;
  struct identity first = live(folder[0], NULL);
  char name[sizeof options.name_made];
  snprintf(name, sizeof name, "%s", options.name);
  assert_true(job_id_valid(name) && job_id_valid(first.token));
  assert_true(strlen(first.token) >= 32);
  assert_non_null(strstr(first.host, "pid "));
  struct identity again = live(folder[0], NULL);
  assert_string_equal(again.token, first.token);
  assert_string_equal(options.name, name);
  struct identity other = live(folder[1], NULL);
  assert_string_not_equal(other.token, first.token);
  assert_string_not_equal(options.name, name); /* two workers of one host */
}

static void a_given_name_is_kept(void **state) {
  (void)state;
  live(folder[0], "mine");
  assert_string_equal(options.name, "mine");
}

static void a_spool_in_use_is_no_identity(void **state) {
  (void)state;
  struct identity identity = {0}, other = {0};
  int lock = -1, second = -1;
  options = (struct options){.spool = folder[0]};
  assert_int_equal(identity_take(&options, &lock, &identity), OK);
  struct options copy = {.spool = folder[0]};
  assert_int_equal(identity_take(&copy, &second, &other), BAD_INPUT);
  assert_string_equal(other.token, "");
  close(lock);
}

static void a_token_that_is_none_is_made_anew(void **state) {
  (void)state;
  static const char *const odd[] = {"", "two words", "../etc", "\xff\xfe"};
  char path[128];
  snprintf(path, sizeof path, "%s/identity", folder[0]);
  for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
    assert_int_equal(file_write(path, odd[i], strlen(odd[i])), OK);
    struct identity first = live(folder[0], NULL), again = live(folder[0], NULL);
    assert_true(job_id_valid(first.token));
    assert_string_equal(first.token, again.token);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_token_and_a_name_outlive_the_daemon),
      TEST(a_given_name_is_kept),
      TEST(a_spool_in_use_is_no_identity),
      TEST(a_token_that_is_none_is_made_anew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
