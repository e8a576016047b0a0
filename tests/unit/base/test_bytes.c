/* test_bytes.c - growth, the maximum, and reading files. */
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

#include "base/bytes.h"

static void test_empty(void **state) {
  (void)state;
  struct bytes bytes;
  bytes_open(&bytes, 10);
  assert_string_equal(bytes_text(&bytes), "");
  assert_int_equal(bytes_append(&bytes, NULL, 0), OK);
  assert_string_equal(bytes_text(&bytes), "");
  bytes_close(&bytes);
}

static void test_grows_to_the_maximum_and_no_further(void **state) {
  (void)state;
  struct bytes bytes;
  bytes_open(&bytes, 1000);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(bytes_append_text(&bytes, "0123456789"), OK);
  }
  assert_int_equal(bytes.length, 1000);
  assert_int_equal(bytes_append_text(&bytes, "x"), EXHAUSTED);
  assert_int_equal(bytes_printf(&bytes, "%d", 5), EXHAUSTED);
  assert_int_equal(bytes.length, 1000);
  bytes_clear(&bytes);
  assert_int_equal(bytes_printf(&bytes, "%s-%03d", "a", 7), OK);
  assert_string_equal(bytes_text(&bytes), "a-007");
  bytes_close(&bytes);
}

static void write_file(const char *path, size_t length) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  for (size_t i = 0; i < length; i++) {
    fputc('x', file);
  }
  fclose(file);
}

static void test_files(void **state) {
  (void)state;
  char path[] = "/tmp/darkroom-test-bytes-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  struct bytes bytes;
  bytes_open(&bytes, 100000);
  static const size_t lengths[] = {0, 1, 65535, 65536, 65537, 100000};
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    write_file(path, lengths[i]);
    assert_int_equal(bytes_read_file(&bytes, path), OK);
    assert_int_equal(bytes.length, lengths[i]);
  }
  write_file(path, 100001);
  assert_int_equal(bytes_read_file(&bytes, path), BAD_INPUT);
  unlink(path);
  assert_int_equal(bytes_read_file(&bytes, path), UNAVAILABLE);
  bytes_close(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_grows_to_the_maximum_and_no_further),
      cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
