/* test_settings.c - all types from all sources, their precedence, and what is refused by name. */
#include <math.h>
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

#include "base/settings.h"

struct values {
  const char *store;
  const char *secret_key;
  int64_t lease_ms;
  int64_t seed;
  double guidance;
  bool fast;
  int format;
};

#define FIELD(name) offsetof(struct values, name)
static const struct setting table[] = {
    {.name = "store",
     .type = SETTING_TEXT,
     .field = FIELD(store),
     .min = 1,
     .max = 20,
     .help = "where images go",
     .letter = 's'},
    {.name = "secret-key",
     .type = SETTING_TEXT,
     .field = FIELD(secret_key),
     .help = "a key",
     .secret = true},
    {.name = "lease-ms",
     .type = SETTING_INTEGER,
     .field = FIELD(lease_ms),
     .standard = "5000",
     .min = 100,
     .max = 60000,
     .help = "milliseconds a lease lasts"},
    {.name = "seed", .type = SETTING_INTEGER, .field = FIELD(seed), .help = "seed", .uses = 2},
    {.name = "guidance",
     .type = SETTING_NUMBER,
     .field = FIELD(guidance),
     .min = 0,
     .max = 100,
     .help = "guidance scale"},
    {.name = "fast", .type = SETTING_FLAG, .field = FIELD(fast), .help = "hurry"},
    {.name = "format",
     .type = SETTING_CHOICE,
     .field = FIELD(format),
     .standard = "logfmt",
     .choices = "logfmt|json",
     .help = "of the log"},
};

static struct settings_program about = {.name = "tester",
                                        .version = "1.2.3",
                                        .summary = "tests settings",
                                        .usage = "[settings]",
                                        .table = table,
                                        .count = sizeof table / sizeof table[0]};

static struct values values;
static struct settings_rest rest;

static enum status load(int count, const char *const *words) {
  char *argv[32] = {(char *)"tester"};
  for (int i = 0; i < count; i++) {
    argv[i + 1] = (char *)words[i];
  }
  return settings_load(&about, count + 1, argv, &values, &rest);
}
#define LOAD(...) \
  load((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__})

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static int clean(void **state) {
  (void)state;
  static const char *const names[] = {"DARKROOM_STORE",    "DARKROOM_LEASE_MS", "DARKROOM_FAST",
                                      "DARKROOM_GUIDANCE", "DARKROOM_CONFIG",   "DARKROOM_FORMAT",
                                      "DARKROOM_SEED",     "TESTER_LEASE_MS",   "TESTER_STORE",
                                      "TESTER_CONFIG"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    unsetenv(names[i]);
  }
  about.use = 0;
  return 0;
}

static void test_defaults_and_unset(void **state) {
  (void)state;
  assert_int_equal(load(0, NULL), OK);
  assert_null(values.store);
  assert_int_equal(values.lease_ms, 5000);
  assert_true(values.seed == SETTING_UNSET);
  assert_true(isnan(values.guidance));
  assert_false(values.fast);
  assert_int_equal(values.format, 0);
  assert_int_equal(rest.count, 0);
  assert_false(rest.leave);
}

static void test_flags(void **state) {
  (void)state;
  assert_int_equal(LOAD("one", "--store", "a b", "--lease-ms=200", "--guidance", "-0", "two",
                        "--fast", "--format", "json", "--", "--three", "-"),
                   OK);
  assert_string_equal(values.store, "a b");
  assert_int_equal(values.lease_ms, 200);
  assert_true(values.guidance == 0);
  assert_true(values.fast);
  assert_int_equal(values.format, 1);
  assert_int_equal(rest.count, 4);
  assert_string_equal(rest.argument[2], "--three");
  assert_string_equal(rest.argument[3], "-");
  assert_int_equal(LOAD("-s", "x", "--no-fast", "-"), OK);
  assert_string_equal(values.store, "x");
  assert_false(values.fast);
  assert_int_equal(LOAD("--fast=off"), OK);
  assert_false(values.fast);
}

static void test_precedence(void **state) {
  (void)state;
  char path[] = "/tmp/darkroom-test-settings-XXXXXX";
  close(mkstemp(path));
  write_file(path, "# comment\n\n lease-ms = 300 \r\nstore=from file\nfast = yes\nseed = 5\n");
  assert_int_equal(LOAD("--config", path), OK);
  assert_int_equal(values.lease_ms, 300);
  assert_string_equal(values.store, "from file");
  assert_true(values.fast);
  setenv("DARKROOM_CONFIG", path, 1);
  setenv("DARKROOM_LEASE_MS", "400", 1);
  setenv("DARKROOM_STORE", "", 1); /* set but empty: not set */
  assert_int_equal(load(0, NULL), OK);
  assert_int_equal(values.lease_ms, 400);
  assert_string_equal(values.store, "from file");
  assert_int_equal(LOAD("--lease-ms", "500"), OK);
  assert_int_equal(values.lease_ms, 500);
  unlink(path);
}

/* A variable of the program's own wins over the one that all programs read. */
static void test_a_programs_own_variables(void **state) {
  (void)state;
  char path[] = "/tmp/darkroom-test-settings-XXXXXX";
  close(mkstemp(path));
  write_file(path, "guidance = 5\n");
  setenv("DARKROOM_LEASE_MS", "400", 1);
  setenv("TESTER_LEASE_MS", "600", 1);
  setenv("DARKROOM_STORE", "common", 1);
  setenv("TESTER_STORE", "", 1); /* set but empty: not set */
  setenv("DARKROOM_CONFIG", "/nonexistent/x", 1);
  setenv("TESTER_CONFIG", path, 1);
  assert_int_equal(load(0, NULL), OK);
  assert_int_equal(values.lease_ms, 600);
  assert_string_equal(values.store, "common");
  assert_true(values.guidance == 5);
  assert_int_equal(LOAD("--lease-ms", "500"), OK);
  assert_int_equal(values.lease_ms, 500);
  setenv("TESTER_LEASE_MS", "1", 1);
  assert_int_equal(load(0, NULL), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "TESTER_LEASE_MS"));
  unlink(path);
}

static void refused(const char *flag, const char *value, const char *field, const char *text) {
  assert_int_equal(LOAD(flag, value), BAD_INPUT);
  assert_string_equal(fail_field_name(), field);
  if (strstr(fail_reason(), text) == NULL) {
    print_error("\"%s\" does not say \"%s\"\n", fail_reason(), text);
    assert_true(false);
  }
}

static void test_bad_values_name_setting_and_limit(void **state) {
  (void)state;
  refused("--lease-ms", "99", "lease-ms", "100..60000");
  refused("--lease-ms", "60001", "lease-ms", "--lease-ms");
  refused("--lease-ms", "1e3", "lease-ms", "integer");
  refused("--lease-ms", " 500", "lease-ms", "integer");
  refused("--lease-ms", "500x", "lease-ms", "integer");
  refused("--lease-ms", "", "lease-ms", "integer");
  refused("--lease-ms", "99999999999999999999", "lease-ms", "integer");
  refused("--guidance", "nan", "guidance", "number");
  refused("--guidance", "inf", "guidance", "number");
  refused("--guidance", "0x10", "guidance", "number");
  refused("--guidance", "1e999", "guidance", "number");
  refused("--guidance", "-1", "guidance", "0..100");
  refused("--format", "xml", "format", "logfmt|json");
  refused("--store", "123456789012345678901", "store", "1..20 bytes");
  refused("--store", "--fast", "store", "--store=VALUE");
  refused("--lease-sm", "1", "lease-sm", "did you mean lease-ms?");
  refused("--qwertyuiop", "1", "qwertyuiop", "no such setting");
  refused("-x", "1", "x", "no such setting");
  assert_int_equal(LOAD("--store"), BAD_INPUT);
  assert_int_equal(LOAD("--fast=maybe"), BAD_INPUT);
  assert_int_equal(LOAD("--no-store"), BAD_INPUT);
  setenv("DARKROOM_LEASE_MS", "1", 1);
  assert_int_equal(load(0, NULL), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "DARKROOM_LEASE_MS"));
}

static void test_limits_are_inclusive(void **state) {
  (void)state;
  assert_int_equal(LOAD("--lease-ms", "100", "--guidance", "0"), OK);
  assert_int_equal(LOAD("--lease-ms", "60000", "--guidance", "100"), OK);
}

static void test_a_secret_is_not_repeated(void **state) {
  (void)state;
  static char secret[SETTING_TEXT_BYTES_MAX + 2] = "hush";
  memset(secret + 4, 'x', sizeof secret - 5);
  assert_int_equal(LOAD("--secret-key", secret), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "****"));
  assert_null(strstr(fail_reason(), "hush"));
}

static void test_files_are_held_to_the_table(void **state) {
  (void)state;
  char path[] = "/tmp/darkroom-test-settings-XXXXXX";
  close(mkstemp(path));
  static const char *const bad[] = {"lease_ms = 5\n", "nonsense\n",           "lease-ms = 1\n",
                                    "config = x\n",   "fast = 1\nfast = 0\n", "= 5\n"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    write_file(path, bad[i]);
    assert_int_equal(LOAD("--config", path), BAD_INPUT);
    assert_non_null(strstr(fail_reason(), path));
  }
  assert_int_equal(LOAD("--config", "/nonexistent/x"), UNAVAILABLE);
  unlink(path);
}

static void test_rows_of_other_verbs(void **state) {
  (void)state;
  setenv("DARKROOM_SEED", "7", 1);
  about.use = 1;
  assert_int_equal(LOAD("--seed", "5"), BAD_INPUT);
  assert_int_equal(load(0, NULL), OK);
  assert_true(values.seed == SETTING_UNSET);
  about.use = 2;
  assert_int_equal(load(0, NULL), OK);
  assert_int_equal(values.seed, 7);
}

static void test_positional(void **state) {
  (void)state;
  char *argv[] = {(char *)"t", (char *)"--seed", (char *)"5",  (char *)"--fast",
                  (char *)"x", (char *)"-s",     (char *)"st", (char *)"y"};
  assert_string_equal(settings_positional(&about, 8, argv, 0), "x");
  assert_string_equal(settings_positional(&about, 8, argv, 1), "y");
  assert_null(settings_positional(&about, 8, argv, 2));
}

/* What a call prints on stdout. */
static char printed[8192];
static void capture(int count, const char *const *words) {
  char path[] = "/tmp/darkroom-test-settings-XXXXXX";
  int file = mkstemp(path);
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  dup2(file, STDOUT_FILENO);
  enum status status = load(count, words);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  ssize_t bytes = pread(file, printed, sizeof printed - 1, 0);
  printed[bytes > 0 ? bytes : 0] = '\0';
  close(file);
  unlink(path);
  assert_int_equal(status, OK);
  assert_true(rest.leave);
}

static void test_help_shows_every_row(void **state) {
  (void)state;
  about.use = 2;
  capture(1, (const char *[]){"--help"});
  for (size_t i = 0; i < about.count; i++) {
    assert_non_null(strstr(printed, table[i].name));
    assert_non_null(strstr(printed, table[i].help));
  }
  assert_non_null(strstr(printed, "DARKROOM_LEASE_MS"));
  assert_non_null(strstr(printed, "TESTER_..., which wins over DARKROOM_..."));
  assert_non_null(strstr(printed, "within 100..60000"));
  assert_non_null(strstr(printed, "default 5000"));
  assert_non_null(strstr(printed, "-s, --store"));
  about.use = 1;
  capture(1, (const char *[]){"-h"});
  assert_null(strstr(printed, "--seed"));
  capture(1, (const char *[]){"--version"});
  assert_string_equal(printed, "tester 1.2.3\n");
}

static void test_print_config_is_a_settings_file(void **state) {
  (void)state;
  setenv("DARKROOM_STORE", "s1", 1);
  capture(4, (const char *[]){"--lease-ms=777", "--secret-key", "hush", "--print-config"});
  assert_non_null(strstr(printed, "lease-ms = 777"));
  assert_non_null(strstr(printed, "# from DARKROOM_STORE\nstore = s1"));
  assert_null(strstr(printed, "hush"));
  unsetenv("DARKROOM_STORE");
  char path[] = "/tmp/darkroom-test-settings-XXXXXX";
  close(mkstemp(path));
  write_file(path, printed);
  assert_int_equal(LOAD("--config", path), OK);
  assert_int_equal(values.lease_ms, 777);
  assert_string_equal(values.store, "s1");
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_defaults_and_unset, clean),
      cmocka_unit_test_setup(test_flags, clean),
      cmocka_unit_test_setup(test_precedence, clean),
      cmocka_unit_test_setup(test_a_programs_own_variables, clean),
      cmocka_unit_test_setup(test_bad_values_name_setting_and_limit, clean),
      cmocka_unit_test_setup(test_limits_are_inclusive, clean),
      cmocka_unit_test_setup(test_a_secret_is_not_repeated, clean),
      cmocka_unit_test_setup(test_files_are_held_to_the_table, clean),
      cmocka_unit_test_setup(test_rows_of_other_verbs, clean),
      cmocka_unit_test_setup(test_positional, clean),
      cmocka_unit_test_setup(test_help_shows_every_row, clean),
      cmocka_unit_test_setup(test_print_config_is_a_settings_file, clean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
