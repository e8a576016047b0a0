/* test_prompt.c - prompts from the command line and from stdin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "cli/options.h"
#include "cli/prompt.h"
#include "proto/job.h"

static struct arena *arena;

/* What a prompt becomes when in has these bytes. */
static enum status take(const char *argument, const char *bytes, size_t count, const char **prompt,
                        struct refusal *why) {
  FILE *in = tmpfile();
  assert_non_null(in);
  assert_int_equal(fwrite(bytes, 1, count, in), count);
  rewind(in);
  enum status status = prompt_take(argument, in, arena, prompt, why);
  fclose(in);
  return status;
}

static void an_argument_is_the_prompt(void **state) {
  (void)state;
  static const char *const arguments[] = {"a lake", "", "--", "-x", "a\n"};
  const char *prompt = NULL;
  for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
    assert_int_equal(take(arguments[i], "other", 5, &prompt, NULL), OK);
    assert_ptr_equal(prompt, arguments[i]);
  }
}

static void one_line_end_is_left_out(void **state) {
  (void)state;
  static const struct {
    const char *bytes, *prompt;
  } cases[] = {
      {"a lake\n", "a lake"},
      {"a lake\r\n", "a lake"},
      {"a lake", "a lake"},
      {"", ""},
      {"\n", ""},
      {"two\nlines\n\n", "two\nlines\n"},
      {"a lake \r", "a lake \r"},
  };
  const char *prompt = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal(take("-", cases[i].bytes, strlen(cases[i].bytes), &prompt, NULL), OK);
    assert_string_equal(prompt, cases[i].prompt);
  }
}

/* The settings of a command line without any. */
static struct options nothing_said(void) {
  static char *argv[] = {(char *)"darkroom"};
  const struct settings_program about = {.name = "darkroom",
                                         .usage = "",
                                         .table = options_table,
                                         .count = options_count,
                                         .use = USE_GENERATE};
  struct settings_rest rest;
  struct options options;
  assert_int_equal(settings_load(&about, 1, argv, &options, &rest), OK);
  return options;
}

/* What options_job says of what was read. */
static enum status job_of(const char *bytes, size_t count, struct refusal *why) {
  struct options nothing = nothing_said();
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  const char *prompt = NULL;
  TRY(take("-", bytes, count, &prompt, why));
  return options_job(&nothing, prompt, id, &job, why);
}

static void limits_hold_as_for_an_argument(void **state) {
  (void)state;
  static char text[3 * JOB_PROMPT_BYTES_MAX];
  memset(text, 'a', sizeof text);
  struct refusal why = {0};
  assert_int_equal(job_of(text, JOB_PROMPT_BYTES_MAX, &why), OK);
  assert_int_equal(job_of(text, JOB_PROMPT_BYTES_MAX + 1, &why), BAD_INPUT);
  assert_string_equal(why.field, "prompt");
  assert_int_equal(job_of(text, sizeof text, &why), BAD_INPUT);
  text[JOB_PROMPT_BYTES_MAX] = '\r';
  text[JOB_PROMPT_BYTES_MAX + 1] = '\n';
  assert_int_equal(job_of(text, JOB_PROMPT_BYTES_MAX + 2, &why), OK);
  assert_int_equal(job_of(text, JOB_PROMPT_BYTES_MAX + 3, &why), BAD_INPUT);
  assert_int_equal(job_of("caf\xe9", 4, &why), BAD_INPUT);
  assert_int_equal(job_of("a\0b", 3, &why), BAD_INPUT);
  assert_non_null(strstr(why.message, "NUL"));
}

static void what_cannot_be_read_is_said(void **state) {
  (void)state;
  struct refusal why = {0};
  const char *prompt = NULL;
  FILE *folder = fopen("/", "r");
  assert_non_null(folder);
  assert_int_equal(prompt_take("-", folder, arena, &prompt, &why), BAD_INPUT);
  assert_non_null(strstr(why.message, "stdin cannot be read"));
  fclose(folder);
}

static int open_arena(void **state) {
  (void)state;
  return arena_open(NULL, 1 << 20, &arena) == OK ? 0 : -1;
}

static int close_arena(void **state) {
  (void)state;
  arena_close(&arena);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_argument_is_the_prompt),
      cmocka_unit_test(one_line_end_is_left_out),
      cmocka_unit_test(limits_hold_as_for_an_argument),
      cmocka_unit_test(what_cannot_be_read_is_said),
  };
  return cmocka_run_group_tests(tests, open_arena, close_arena);
}
