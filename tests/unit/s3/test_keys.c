/* test_keys.c - where keys come from, and that a file of them is read again. */
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

#include "s3/keys.h"

static char folder[] = "/tmp/darkroom-keys-XXXXXX";
static char path[64];

static void write_keys(const char *text) {
  char beside[80];
  snprintf(beside, sizeof beside, "%s.new", path);
  FILE *file = fopen(beside, "we");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
  assert_int_equal(rename(beside, path), 0); /* as a secret that is mounted is replaced */
}

static int from_the_file(void **state) {
  (void)state;
  unsetenv("AWS_ACCESS_KEY_ID");
  unsetenv("AWS_SECRET_ACCESS_KEY");
  unsetenv("AWS_SESSION_TOKEN");
  unsetenv("AWS_PROFILE");
  setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
  unlink(path);
  return 0;
}

static void the_environment_comes_first(void **state) {
  (void)state;
  write_keys("[default]\naws_access_key_id=f\naws_secret_access_key=f\n");
  setenv("AWS_ACCESS_KEY_ID", "k", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
  struct s3_keys keys;
  assert_int_equal(s3_keys_read(&keys), OK);
  assert_string_equal(keys.access_key, "k");
  assert_string_equal(keys.secret_key, "s");
  assert_string_equal(keys.session_token, "");
  assert_false(s3_keys_refresh(&keys, true)); /* it cannot have changed */
}

static void what_is_missing_is_named(void **state) {
  (void)state;
  static const char *const needed[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"};
  struct s3_keys keys;
  for (size_t i = 0; i < 2; i++) {
    setenv("AWS_ACCESS_KEY_ID", "key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    setenv(needed[i], "", 1);
    assert_int_equal(s3_keys_read(&keys), BAD_INPUT);
    assert_non_null(strstr(fail_reason(), needed[i]));
    assert_string_equal(fail_field_name(), "store");
  }
  from_the_file(NULL);
  assert_int_equal(s3_keys_read(&keys), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "AWS_ACCESS_KEY_ID is not set"));
  assert_non_null(strstr(fail_reason(), path));
  static const struct {
    const char *text, *said;
  } files[] = {
      {"", "empty"},
      {"[other]\naws_access_key_id=a\naws_secret_access_key=b\n", "[default]"},
      {"[default]\naws_access_key_id=a\n", "aws_secret_access_key"},
      {"[default]\naws_secret_access_key=a\n", "aws_access_key_id"},
      {"aws_access_key_id=a\naws_secret_access_key=b\n", "[default]"},
  };
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    write_keys(files[i].text);
    assert_int_equal(s3_keys_read(&keys), BAD_INPUT);
    assert_non_null(strstr(fail_reason(), files[i].said));
  }
}

static void a_profile_is_read_as_tools_write_it(void **state) {
  (void)state;
  write_keys(
      "\xef\xbb\xbf# ours\r\n[default]\r\naws_access_key_id = D\r\n"
      "[ night shift ]\r\n\tAWS_ACCESS_KEY_ID\t=\tA K \r\n"
      "aws_secret_access_key=a/b=c+d==\r\n;aws_session_token = no\r\nregion = x\r\njunk\r\n"
      "aws_session_token = tok\r\n[last]\r\naws_access_key_id=no\r\n");
  setenv("AWS_PROFILE", "night shift", 1);
  struct s3_keys keys;
  assert_int_equal(s3_keys_read(&keys), OK);
  assert_string_equal(keys.access_key, "A K");
  assert_string_equal(keys.secret_key, "a/b=c+d==");
  assert_string_equal(keys.session_token, "tok");
}

static void a_changed_file_is_read_again(void **state) {
  (void)state;
  write_keys("[default]\naws_access_key_id=one\naws_secret_access_key=s\naws_session_token=t\n");
  struct s3_keys keys;
  assert_int_equal(s3_keys_read(&keys), OK);
  assert_false(s3_keys_refresh(&keys, false));
  assert_false(s3_keys_refresh(&keys, true)); /* the same words are no news */
  write_keys("[default]\naws_access_key_id=two\naws_secret_access_key=s\n");
  assert_true(s3_keys_refresh(&keys, false));
  assert_string_equal(keys.access_key, "two");
  assert_string_equal(keys.session_token, "");
  static const char *const broken[] = {"", "[default]\naws_access_key_id=three\n", "[def"};
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    write_keys(broken[i]);
    assert_false(s3_keys_refresh(&keys, true)); /* half written */
    assert_string_equal(keys.access_key, "two");
  }
  unlink(path);
  assert_false(s3_keys_refresh(&keys, true));
  write_keys("[default]\naws_access_key_id=four\naws_secret_access_key=s\n");
  assert_true(s3_keys_refresh(&keys, true));
  assert_string_equal(keys.access_key, "four");
}

static int make_folder(void **state) {
  (void)state;
  if (mkdtemp(folder) == NULL) {
    return -1;
  }
  snprintf(path, sizeof path, "%s/credentials", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_environment_comes_first, from_the_file),
      cmocka_unit_test_setup(what_is_missing_is_named, from_the_file),
      cmocka_unit_test_setup(a_profile_is_read_as_tools_write_it, from_the_file),
      cmocka_unit_test_setup(a_changed_file_is_read_again, from_the_file),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
