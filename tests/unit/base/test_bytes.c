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

static void test_texts(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t length;
    enum status status;
    const char *text; /* or the reason */
  } cases[] = {
      {"plain", 5, OK, "plain"},
      {"", 0, OK, ""},
      {"\xef\xbb\xbfmarked", 9, OK, "marked"},
      {"\xef\xbb\xbf", 3, OK, ""},
      {"\xef\xbb\xbf\xef\xbb\xbfx", 7, OK, "\xef\xbb\xbfx"}, /* one mark, not two */
      {"a\xef\xbb\xbf", 4, OK, "a\xef\xbb\xbf"},
      {"\xff\xfe{\0", 4, BAD_INPUT, "UTF-16"},
      {"\xfe\xff\0{", 4, BAD_INPUT, "UTF-16"},
      {"a\0b", 3, BAD_INPUT, "zero byte"},
  };
  char path[] = "/tmp/darkroom-test-bytes-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  struct bytes bytes;
  bytes_open(&bytes, 100);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(cases[i].bytes, 1, cases[i].length, file), cases[i].length);
    fclose(file);
    assert_int_equal(bytes_read_text_file(&bytes, path), cases[i].status);
    if (cases[i].status == OK) {
      assert_string_equal(bytes_text(&bytes), cases[i].text);
      assert_int_equal(bytes.length, strlen(cases[i].text));
    } else {
      assert_non_null(strstr(fail_reason(), cases[i].text));
    }
  }
  unlink(path);
  bytes_close(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_grows_to_the_maximum_and_no_further),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
