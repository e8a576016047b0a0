/* test_keyring.c - rows read, printed, refused with line and field. */
#include "proto/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

static char key[3][KEY_TEXT_BYTES];

static int setup(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    struct key_pair pair;
    if (keys_make(&pair) != OK) {
      return -1;
    }
    memcpy(key[i], pair.public_key, sizeof key[i]);
  }
  return 0;
}

static enum status parse(const char *format, struct keyring *out) {
  static char text[8192];
  snprintf(text, sizeof text, format, key[0], key[1], key[2]);
  return keyring_parse(text, out);
}

static void test_a_row_says_what_is_printed_of_it(void **state) {
  (void)state;
  struct keyring first, again;
  struct bytes text;
  assert_int_equal(
      parse(
          "# mine\n\n  render\t%s   roles=work,metrics worker=render-* models=a,b:c "
          "default-model=a until=2026-11-28T05:00:00Z messages=5 kib=6 watches=7 connections=8\r\n",
          &first),
      OK);
  assert_int_equal(first.count, 1);
  const struct keyring_row *row = first.row;
  assert_string_equal(row->name, "render");
  assert_string_equal(row->key, key[0]);
  assert_string_equal(row->tenant, "default");
  assert_int_equal(row->roles, ROLE_WORK | ROLE_METRICS);
  assert_int_equal(row->until_s, 1795842000);
  assert_int_equal(row->limits.connections, 8);
  assert_int_equal(row->line, 3);
  bytes_open(&text, 4096);
  assert_int_equal(keyring_print(row, &text), OK);
  assert_int_equal(keyring_parse((char *)text.data, &again), OK);
  assert_true(keyring_same(row, again.row));
  assert_int_equal(again.row->until_s, row->until_s);
  bytes_close(&text);
  keyring_close(&first);
  keyring_close(&again);
}

static void test_names_and_models_of_a_row(void **state) {
  (void)state;
  struct keyring keyring;
  assert_int_equal(parse("a %s roles=work worker=gpu-* models=sd,sdxl\n"
                         "b %s roles=work worker=gpu-1\nc %s roles=work worker=*\n",
                         &keyring),
                   OK);
  const struct {
    const char *name, *worker;
    bool owns;
  } rows[] = {{"a", "gpu-", true},  {"a", "gpu-10", true},  {"a", "gpu", false},
              {"b", "gpu-1", true}, {"b", "gpu-10", false}, {"c", "anybody", true}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (size_t k = 0; k < keyring.count; k++) {
      if (strcmp(keyring.row[k].name, rows[i].name) == 0) {
        assert_int_equal(keyring_owns_worker(&keyring.row[k], rows[i].worker), rows[i].owns);
      }
    }
  }
  for (size_t k = 0; k < keyring.count; k++) {
    bool some = keyring.row[k].models[0] != '\0';
    assert_true(keyring_has_model(&keyring.row[k], "sdxl"));
    assert_int_equal(keyring_has_model(&keyring.row[k], "sdx"), !some);
    assert_int_equal(keyring_has_model(&keyring.row[k], "sd,sdxl"), !some);
  }
  keyring_close(&keyring);
}

static void test_what_is_wrong_is_named_with_its_line(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } rows[] = {
      {"a b c", "line 1: behind the name stands a public key"},
      {"a", "line 1: behind the name stands a public key"},
      {"\n/x %s roles=submit", "line 2: a row begins with a name"},
      {"a %s", "line 1: roles is missing"},
      {"a %s roles=", "is no role"},
      {"a %s roles=submit,king", "\"king\" is no role"},
      {"a %s roles=submit,", "is no role"},
      {"a %s roles=submit roles=work", "roles stands there twice"},
      {"a %s roles=submit tenant=a/b", "tenant=a/b: 1..64"},
      {"a %s roles=submit tenant=a:b", "tenant=a:b: 1..64"},
      {"a %s roles=submit tenant=inputs", "tenant=inputs: a name that the store has"},
      {"a %s roles=submit tenant=", "tenant=: 1..64"},
      {"a %s roles=work", "worker and the role work go together"},
      {"a %s roles=submit worker=x", "worker and the role work go together"},
      {"a %s roles=work worker=a*b", "worker=a*b:"},
      {"a %s roles=submit messages=0", "messages=0: 1.."},
      {"a %s roles=submit messages=-1", "messages=-1: 1.."},
      {"a %s roles=submit messages=1000000001", "1..1000000000"},
      {"a %s roles=submit until=tomorrow", "a time like"},
      {"a %s roles=submit until=2026-11-28T05:00:00Zx", "a time like"},
      {"a %s roles=submit colour=red", "there is no field colour"},
      {"a %s roles=submit submit", "\"submit\" is not FIELD=VALUE"},
      {"a %1$s roles=submit\nb %1$s roles=submit", "another row has this key"},
      {"a %s roles=submit\na %s roles=work worker=w", "another row of this name has other roles"},
      {"a %s roles=submit\na %s roles=submit tenant=x", "or another tenant"},
      {"a %s roles=submit\na %s roles=submit\na %s roles=submit", "a third row of this name"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct keyring keyring;
    assert_int_equal(parse(rows[i].text, &keyring), BAD_INPUT);
    if (strstr(fail_reason(), rows[i].says) == NULL) {
      print_message("%s: \"%s\" does not say \"%s\"\n", rows[i].text, fail_reason(), rows[i].says);
      assert_true(false);
    }
  }
}

static void test_two_rows_of_a_name_are_a_key_that_is_changed(void **state) {
  (void)state;
  struct keyring keyring;
  assert_int_equal(
      parse("a %s roles=submit until=2030-01-01T00:00:00Z\na %s roles=submit\n", &keyring), OK);
  assert_int_equal(keyring.count, 2);
  keyring_close(&keyring);
  assert_int_equal(parse("", &keyring), OK);
  assert_int_equal(keyring.count, 0);
  keyring_close(&keyring);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_row_says_what_is_printed_of_it),
      cmocka_unit_test(test_names_and_models_of_a_row),
      cmocka_unit_test(test_what_is_wrong_is_named_with_its_line),
      cmocka_unit_test(test_two_rows_of_a_name_are_a_key_that_is_changed),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
