/* test_options.c - from flags to the job that is sent. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "cli/complaint.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "proto/job.h"

static struct options options;

static enum status load(unsigned use, int count, const char *const *words) {
  char *argv[32] = {(char *)"darkroom"};
  for (int i = 0; i < count; i++) {
    argv[i + 1] = (char *)words[i];
  }
  struct settings_rest rest;
  struct settings_program about = {.name = "darkroom",
                                   .version = "0",
                                   .summary = "",
                                   .usage = "",
                                   .table = options_table,
                                   .count = options_count,
                                   .use = use};
  return settings_load(&about, count + 1, argv, &options, &rest);
}
#define LOAD(use, ...)                                                     \
  load(use, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
       (const char *[]){__VA_ARGS__})

static void test_nothing_given_nothing_sent(void **state) {
  (void)state;
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  assert_int_equal(LOAD(USE_SUBMIT, "x"), OK);
  assert_int_equal(options_job(&options, "a lake", id, &job, NULL), OK);
  assert_string_equal(job.prompt, "a lake");
  assert_true(job_id_valid(job.id));
  assert_null(job.model);
  assert_null(job.negative_prompt);
  assert_false(job.has_steps || job.has_guidance_scale || job.has_seed || job.has_images);
  assert_false(job.has_width || job.has_height || job.has_sampler || job.has_noise_schedule);
  assert_false(job.has_priority || job.has_deadline_ms || job.has_format);
}

static void test_everything_given(void **state) {
  (void)state;
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  assert_int_equal(LOAD(USE_GENERATE, "--steps=7", "--guidance=0", "--seed=9007199254740990",
                        "--count=2", "--size=8x2048", "--sampler=dpmpp_2m_karras", "--model=m",
                        "--priority=bulk", "--deadline-ms=1", "--id=me", "--negative="),
                   OK);
  assert_int_equal(options_job(&options, "", id, &job, NULL), OK);
  assert_int_equal(job.steps, 7);
  assert_true(job.has_guidance_scale && job.guidance_scale == 0);
  assert_true(job.seed == 9007199254740990);
  assert_int_equal(job.images, 2);
  assert_int_equal(job.width, 8);
  assert_int_equal(job.height, 2048);
  assert_int_equal(job.noise_schedule, DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_KARRAS);
  assert_int_equal(job.priority, DARKROOM__V1__PRIORITY__PRIORITY_BULK);
  assert_string_equal(job.id, "me");
  assert_string_equal(job.negative_prompt, "");
}

static void test_sizes(void **state) {
  (void)state;
  static const char *const bad[] = {"64",      "64x",     "x64",           "64x64x",
                                    "64X64",   " 64x64",  "64x 8",         "-8x64",
                                    "64.0x64", "0x10x64", "99999999999x64"};
  char id[JOB_ID_TEXT_MAX];
  Darkroom__V1__Job job;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct refusal why = {0};
    assert_int_equal(LOAD(USE_SUBMIT, "--size", bad[i]), OK);
    assert_int_equal(options_job(&options, "x", id, &job, &why), BAD_INPUT);
    assert_int_equal(exit_code_of(why.code), EXIT_CODE_USAGE);
  }
}

/* Rows that a verb does not take are refused, and every row is taken by some verb. */
static void test_rows_and_verbs(void **state) {
  (void)state;
  unsigned uses = 0;
  for (size_t i = 0; cli_verb(i) != NULL; i++) {
    const struct cli_verb *verb = cli_verb(i);
    assert_int_equal(uses & verb->use, 0);
    uses |= verb->use;
    assert_ptr_equal(cli_verb_named(verb->name), verb);
  }
  for (size_t i = 0; i < options_count; i++) {
    assert_int_equal(options_table[i].uses & ~uses, 0);
  }
  assert_null(cli_verb_named("gener"));
  assert_int_equal(LOAD(USE_GET, "--steps", "5"), BAD_INPUT);
}

static void test_exit_codes(void **state) {
  (void)state;
  assert_int_equal(exit_code_of(DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE), EXIT_CODE_AGAIN);
  assert_int_equal(exit_code_of(0), EXIT_CODE_INTERNAL);
  assert_int_equal(exit_code_of(12345), EXIT_CODE_INTERNAL);
  for (int code = 1; code <= (int)DARKROOM__V1__ERROR_CODE__ERROR_INTERNAL; code++) {
    assert_int_not_equal(exit_code_of((Darkroom__V1__ErrorCode)code), EXIT_CODE_OK);
  }
  int last = -1;
  for (size_t i = 0; i < complaint_exit_count; i++) {
    assert_true((int)complaint_exits[i].code > last);
    last = (int)complaint_exits[i].code;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_given_nothing_sent),
      cmocka_unit_test(test_everything_given),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_rows_and_verbs),
      cmocka_unit_test(test_exit_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
