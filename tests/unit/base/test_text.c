/* test_text.c - lines and lists taken apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/text.h"

enum { ITEMS = 3 };

static void test_trim(void **state) {
  (void)state;
  static const char *const cases[][2] = {{" a b\t\r\n", "a b"}, {"", ""},
                                         {" \n", ""},           {"a", "a"},
                                         {"\va\f", "a"},        {"\xc2\xa0", "\xc2\xa0"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[16];
    snprintf(text, sizeof text, "%s", cases[i][0]);
    assert_string_equal(text_trim(text), cases[i][1]);
  }
}

static void test_split(void **state) {
  (void)state;
  char list[] = " tcp://a:1 ,ipc:///with space/b,\tc";
  const char *item[ITEMS];
  size_t count = 0;
  assert_int_equal(text_split("broker", list, ITEMS, item, &count), OK);
  assert_int_equal(count, ITEMS);
  assert_string_equal(item[0], "tcp://a:1");
  assert_string_equal(item[1], "ipc:///with space/b");
  assert_string_equal(item[2], "c");
}

static void test_what_is_refused(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "an empty entry"},   {",", "an empty entry"},    {"a,,b", "an empty entry"},
      {"a,", "an empty entry"}, {" , a", "an empty entry"}, {"a,b,c,d", "more than 3 entries"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char list[16];
    const char *item[ITEMS];
    size_t count = 77;
    snprintf(list, sizeof list, "%s", cases[i][0]);
    assert_int_equal(text_split("broker", list, ITEMS, item, &count), BAD_INPUT);
    assert_int_equal(count, 77);
    assert_non_null(strstr(fail_reason(), cases[i][1]));
    assert_string_equal(fail_field_name(), "broker");
  }
}

static void test_clean(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", ""},
      {"lora_unet: 4 of 7", "lora_unet: 4 of 7"},
      {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a",
       "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\x8a"},
      {"\x1b[2J\n\x7f", "?[2J??"},
      {"\xc2\x9b"
       "2J",
       "??2J"}, /* the same as ESC [ */
      {"cut \xe2\x82", "cut ??"},
      {"cut \xf0\x9f\x8c", "cut ???"},
      {"\xed\xa0\x80", "???"},      /* half of a pair */
      {"\xc0\xaf", "??"},           /* longer than need be */
      {"\xf4\x90\x80\x80", "????"}, /* beyond the last */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char text[32];
    snprintf(text, sizeof text, "%s", cases[i][0]);
    text_clean(text);
    assert_string_equal(text, cases[i][1]);
  }
}

static void test_hex(void **state) {
  (void)state;
  static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xab, 0xff};
  char text[2 * sizeof bytes + 1];
  text_hex(bytes, sizeof bytes, text);
  assert_string_equal(text, "00017f80abff");
  text_hex(bytes, 0, text);
  assert_string_equal(text, "");
}

static void test_bytes(void **state) {
  (void)state;
  static const uint8_t expected[] = {0x00, 0x01, 0x7f, 0x80, 0xab, 0xff};
  static const char *const others[] = {"00017f80abf",
                                       "00017f80abff0",
                                       "00017f80aBff",
                                       "00017f80ab/f",
                                       "00017f80abg0",
                                       " 0017f80abff",
                                       ""};
  uint8_t bytes[sizeof expected] = {1, 2, 3};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    assert_false(text_bytes(others[i], bytes, sizeof bytes));
  }
  assert_false(text_bytes(NULL, bytes, sizeof bytes));
  assert_int_equal(bytes[0], 1);
  assert_true(text_bytes("00017f80abff", bytes, sizeof bytes));
  assert_memory_equal(bytes, expected, sizeof bytes);
  assert_true(text_bytes("", bytes, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_trim),  cmocka_unit_test(test_split),
      cmocka_unit_test(test_clean), cmocka_unit_test(test_hex),
      cmocka_unit_test(test_bytes), cmocka_unit_test(test_what_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
