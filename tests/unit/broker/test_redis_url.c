/* test_redis_url.c - the table redis_urls.txt, and what no line of a table can hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/redis_url.h"

enum { COLUMNS = 8, LINE_BYTES = 1024 };

/* Cuts the line at its tabs; how many columns there were. */
static size_t cut(char *line, char *column[COLUMNS]) {
  size_t count = 0;
  line[strcspn(line, "\n")] = '\0';
  for (char *one; count < COLUMNS && (one = strsep(&line, "\t")) != NULL;) {
    column[count++] = one;
  }
  return count;
}

static void expect_refused(const char *text) {
  struct redis_url url, before;
  memset(&url, 0x5a, sizeof url);
  memcpy(&before, &url, sizeof url);
  if (redis_url_parse(text, &url) != BAD_INPUT) {
    print_error("%s is taken\n", text);
    assert_true(0);
  }
  assert_string_equal(fail_field_name(), "redis");
  assert_null(strstr(fail_reason(), "secret"));
  assert_memory_equal(&url, &before, sizeof url);
}

static void expect_read(char *const column[COLUMNS]) {
  struct redis_url url;
  if (redis_url_parse(column[0], &url) != OK) {
    print_error("%s: %s\n", column[0], fail_reason());
    assert_true(0);
  }
  assert_string_equal(url.path, column[1]);
  assert_string_equal(url.host, column[2]);
  assert_int_equal(url.port, strtol(column[3], NULL, 10));
  assert_string_equal(url.user, column[4]);
  assert_string_equal(url.password, column[5]);
  assert_int_equal(url.database, strtol(column[6], NULL, 10));
}

static void test_table(void **state) {
  (void)state;
  FILE *file = fopen("tests/unit/broker/redis_urls.txt", "r"); /* tests run in the root */
  char line[LINE_BYTES];
  size_t read = 0, refused = 0;
  assert_non_null(file);
  while (fgets(line, sizeof line, file) != NULL) {
    char *column[COLUMNS] = {0};
    size_t count = line[0] == '#' ? 0 : cut(line, column);
    if (count == 1) {
      expect_refused(column[0]);
      refused++;
    } else if (count == COLUMNS) {
      expect_read(column);
      read++;
    } else {
      assert_int_equal(count, 0);
    }
  }
  fclose(file);
  assert_true(read > 40 && refused > 25);
}

static void test_others(void **state) {
  (void)state;
  expect_refused("");
  expect_refused("redis://:secret\x01@h");
  expect_refused("redis://h\n");
}

/* One byte below its limit each part is taken, at the limit it is refused. */
static void test_limits(void **state) {
  (void)state;
  static const struct {
    const char *before, *after;
    size_t limit;
  } parts[] = {
      {"redis://:secret", "@h", REDIS_PASSWORD_BYTES_MAX - 6},
      {"redis://", ":secret@h", REDIS_USER_BYTES_MAX},
      {"redis://:secret@", "", REDIS_HOST_BYTES_MAX},
      {"unix:///", "", REDIS_SOCKET_BYTES_MAX - 1},
      {"redis://h?password=secret", "", REDIS_PASSWORD_BYTES_MAX - 6},
  };
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    for (size_t over = 0; over <= 1; over++) {
      char text[LINE_BYTES], middle[LINE_BYTES];
      struct redis_url url;
      memset(middle, 'x', sizeof middle);
      middle[parts[i].limit - 1 + over] = '\0';
      snprintf(text, sizeof text, "%s%.*s%s", parts[i].before, REDIS_PASSWORD_BYTES_MAX + 8, middle,
               parts[i].after);
      if (over == 1) {
        expect_refused(text);
      } else {
        assert_int_equal(redis_url_parse(text, &url), OK);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_others),
      cmocka_unit_test(test_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
