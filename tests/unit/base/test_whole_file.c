/* test_whole_file.c - whole or not at all, nobody else's to read, and nothing left behind. */
#include "base/whole_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/bytes.h"

static char folder[64], path[96];

static int setup(void **state) {
  (void)state;
  snprintf(folder, sizeof folder, "/tmp/darkroom-whole-XXXXXX");
  if (mkdtemp(folder) == NULL) {
    return -1;
  }
  snprintf(path, sizeof path, "%s/file", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  (void)unlink(path);
  return rmdir(folder); /* fails where something was left behind */
}

static void holds(const char *text, mode_t mode) {
  struct bytes read;
  struct stat found;
  bytes_open(&read, 100);
  assert_int_equal(bytes_read_file(&read, path), OK);
  assert_string_equal(bytes_text(&read), text);
  bytes_close(&read);
  assert_int_equal(stat(path, &found), 0);
  assert_int_equal(found.st_mode & 07777, mode);
}

static void test_a_file_is_made_with_its_mode_whatever_the_umask(void **state) {
  (void)state;
  mode_t before = umask(0);
  assert_int_equal(whole_file_write(path, "one", 3, 0600, false), OK);
  umask(before);
  holds("one", 0600);
}

static void test_what_is_there_stays_unless_it_may_be_replaced(void **state) {
  (void)state;
  assert_int_equal(whole_file_write(path, "one", 3, 0600, false), OK);
  assert_int_equal(whole_file_write(path, "two", 3, 0600, false), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "there already"));
  holds("one", 0600);
  assert_int_equal(whole_file_write(path, "three", 5, 0640, true), OK);
  holds("three", 0640);
}

static void test_a_folder_that_is_not_there_is_named(void **state) {
  (void)state;
  char away[128];
  snprintf(away, sizeof away, "%s/none/file", folder);
  assert_int_equal(whole_file_write(away, "x", 1, 0600, true), UNAVAILABLE);
  assert_non_null(strstr(fail_reason(), away));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_file_is_made_with_its_mode_whatever_the_umask, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_what_is_there_stays_unless_it_may_be_replaced, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(test_a_folder_that_is_not_there_is_named, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
