/* test_job.c - every limit at its edge, defaults, names and digests. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "base/limits.h"
#include "proto/job.h"

typedef Darkroom__V1__Job Job;

static Job fresh(void) {
  Job job = DARKROOM__V1__JOB__INIT;
  job.prompt = (char *)"a lake at sunset";
  return job;
}

static void fine(const Job *job) {
  struct refusal why = {0};
  if (job_check(job, &why) != OK) {
    print_error("refused: %s (%s)\n", why.message, why.field);
    assert_true(0);
  }
}

static void refused(const Job *job, const char *field, const char *limit) {
  struct refusal why = {0};
  assert_int_equal(job_check(job, &why), BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_FIELD);
  assert_string_equal(why.field, field);
  if (strstr(why.limit, limit) == NULL) {
    print_error("limit \"%s\" does not say \"%s\"\n", why.limit, limit);
    assert_true(0);
  }
  assert_int_equal(job_check(job, NULL), BAD_INPUT);
  assert_string_equal(fail_field_name(), field);
}

static void test_smallest_job(void **state) {
  (void)state;
  Job job = fresh();
  fine(&job);
  job.prompt = (char *)"";
  fine(&job);
  job.prompt = NULL;
  refused(&job, "prompt", "required");
}

static void test_texts(void **state) {
  (void)state;
  static char text[JOB_PROMPT_BYTES_MAX + 2];
  memset(text, 'x', sizeof text - 1);
  text[JOB_PROMPT_BYTES_MAX] = '\0';
  Job job = fresh();
  job.prompt = text;
  job.negative_prompt = text;
  fine(&job);
  text[JOB_PROMPT_BYTES_MAX] = 'x';
  refused(&job, "prompt", "0..8192 bytes");
  job = fresh();
  job.negative_prompt = text;
  refused(&job, "negative_prompt", "0..8192 bytes");
  job.negative_prompt = (char *)"caf\xe9";
  refused(&job, "negative_prompt", "UTF-8");
  job = fresh();
  job.prompt = (char *)"caf\xc3\xa9 \xf0\x9f\x8c\x85";
  fine(&job);
  job.model = (char *)"";
  refused(&job, "model", "1..128 bytes");
}

static void test_ids(void **state) {
  (void)state;
  static const char *const good[] = {
      "a", "0", "A.b_c-9", "0123456789012345678901234567890123456789012345678901234567890123"};
  static const char *const bad[] = {
      "",
      ".a",
      "..",
      "-a",
      "_a",
      "a b",
      "a/b",
      "a:b",
      "\xc3\xa9",
      "a\n",
      "01234567890123456789012345678901234567890123456789012345678901234"};
  Job job = fresh();
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    job.id = (char *)good[i];
    fine(&job);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    job.id = (char *)bad[i];
    refused(&job, "id", "1..64");
    assert_false(job_id_valid(bad[i]));
  }
  char one[JOB_ID_TEXT_MAX];
  char two[JOB_ID_TEXT_MAX];
  assert_int_equal(job_id_make(one), OK);
  assert_int_equal(job_id_make(two), OK);
  assert_true(job_id_valid(one));
  assert_int_equal(strlen(one), 26);
  assert_string_not_equal(one, two);
}

#define EDGE(field, value, good, name, limit) \
  do {                                        \
    Job edge = fresh();                       \
    edge.has_##field = 1;                     \
    edge.field = (value);                     \
    if (good) {                               \
      fine(&edge);                            \
    } else {                                  \
      refused(&edge, name, limit);            \
    }                                         \
  } while (0)

static void test_numbers(void **state) {
  (void)state;
  EDGE(width, 8, true, "", "");
  EDGE(width, 2048, true, "", "");
  EDGE(width, 0, false, "width", "8..2048");
  EDGE(width, 4, false, "width", "multiple of 8");
  EDGE(width, 513, false, "width", "multiple of 8");
  EDGE(width, 2056, false, "width", "8..2048");
  EDGE(height, UINT32_MAX - 7, false, "height", "8..2048");
  EDGE(steps, 1, true, "", "");
  EDGE(steps, 1000, true, "", "");
  EDGE(steps, 0, false, "steps", "1..1000");
  EDGE(steps, 1001, false, "steps", "1..1000");
  EDGE(images, 64, true, "", "");
  EDGE(images, 0, false, "images", "1..64");
  EDGE(images, 65, false, "images", "1..64");
  EDGE(seed, 0, true, "", "");
  EDGE(seed, JOB_SEED_MAX, true, "", "");
  EDGE(seed, JOB_SEED_MAX + 1, false, "seed", "9007199254740991");
  EDGE(seed, UINT64_MAX, false, "seed", "9007199254740991");
  EDGE(deadline_ms, 1, true, "", "");
  EDGE(deadline_ms, 0, false, "deadline_ms", "1..604800000");
  EDGE(deadline_ms, 604800001, false, "deadline_ms", "1..604800000");
  EDGE(guidance_scale, 0, true, "", "");
  EDGE(guidance_scale, 100, true, "", "");
  EDGE(guidance_scale, -0.5, false, "guidance_scale", "0..100");
  EDGE(guidance_scale, 100.001, false, "guidance_scale", "0..100");
  EDGE(guidance_scale, NAN, false, "guidance_scale", "0..100");
  EDGE(guidance_scale, INFINITY, false, "guidance_scale", "0..100");
}

static void test_last_seed_counts(void **state) {
  (void)state;
  Job job = fresh();
  job.has_seed = 1;
  job.seed = JOB_SEED_MAX - 3;
  job.has_images = 1;
  job.images = 4;
  fine(&job);
  job.images = 5;
  refused(&job, "seed", "images - 1 added");
}

static void test_words(void **state) {
  (void)state;
  EDGE(priority, 0, false, "priority", "interactive");
  EDGE(priority, 4, false, "priority", "bulk");
  EDGE(format, 3, true, "", "");
  EDGE(format, 4, false, "format", "png");
  EDGE(prompt_mode, 4, false, "prompt_mode", "weighted");
  EDGE(spacing, 5, false, "spacing", "trailing");
  struct refusal why = {0};
  Job job = fresh();
  job.has_sampler = 1;
  job.sampler = 99;
  assert_int_equal(job_check(&job, &why), BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER);
  assert_string_equal(why.field, "sampler");
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DDIM;
  fine(&job);
  job.has_noise_schedule = 1;
  job.noise_schedule = DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_KARRAS;
  assert_int_equal(job_check(&job, &why), BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER);
  assert_string_equal(why.field, "noise_schedule");
  assert_non_null(strstr(why.message, "ddim"));
  job.noise_schedule = -1;
  assert_int_equal(job_check(&job, &why), BAD_INPUT);
}

/* What a sampler does not take is refused at the door, not silently left out. */
static void test_what_goes_with_a_sampler(void **state) {
  (void)state;
  struct refusal why = {0};
  Job job = fresh();
  job.has_eta = 1;
  job.eta = 0.5;
  assert_int_equal(job_check(&job, &why), BAD_INPUT); /* the default has none */
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_FIELD);
  assert_string_equal(why.field, "eta");
  assert_string_equal(why.message, "dpmpp_2m has no eta");
  job.eta = 0.0;
  fine(&job);
  job.has_sampler = 1;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_TCD;
  job.eta = 1.0;
  fine(&job);
  job.has_spacing = 1;
  job.spacing = DARKROOM__V1__SPACING__SPACING_MODEL;
  fine(&job);
  job.spacing = DARKROOM__V1__SPACING__SPACING_TRAILING;
  assert_int_equal(job_check(&job, &why), BAD_INPUT);
  assert_string_equal(why.field, "spacing");
  assert_string_equal(why.message, "tcd has timesteps of its own");
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DDIM;
  fine(&job);
}

static void test_names_that_are_shown(void **state) {
  (void)state;
  assert_string_equal(job_sampler_shown(DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M_SDE),
                      "DPM++ 2M SDE");
  assert_string_equal(job_schedule_shown(DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL), "");
  assert_string_equal(job_schedule_shown(DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_BETA),
                      "Beta");
  static const int wrong[] = {0, -1, 99, 1 << 30};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_string_equal(job_sampler_shown((Darkroom__V1__Sampler)wrong[i]), "unknown");
    assert_string_equal(job_schedule_shown((Darkroom__V1__NoiseSchedule)wrong[i]), "unknown");
    assert_null(job_sampler_name((Darkroom__V1__Sampler)wrong[i],
                                 DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_MODEL));
  }
}

static void test_metadata(void **state) {
  (void)state;
  Darkroom__V1__KeyValue pair = DARKROOM__V1__KEY_VALUE__INIT;
  Darkroom__V1__KeyValue *pairs[JOB_METADATA_MAX + 1];
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    pairs[i] = &pair;
  }
  Job job = fresh();
  job.metadata = pairs;
  job.n_metadata = JOB_METADATA_MAX;
  refused(&job, "metadata", "1..64 bytes");
  pair.key = (char *)"album";
  fine(&job);
  job.n_metadata++;
  refused(&job, "metadata", "at most 16 pairs");
}

static void test_defaults(void **state) {
  (void)state;
  Job job = fresh();
  job_defaults(&job);
  assert_int_equal(job.steps, 20);
  assert_true(job.guidance_scale == 7.5);
  assert_int_equal(job.images, 1);
  assert_string_equal(job_sampler_name(job.sampler, job.noise_schedule), "dpmpp_2m");
  assert_string_equal(job_priority_name(job.priority), "standard");
  assert_null(job.negative_prompt); /* nothing said is not "" */
  assert_false(job.has_seed || job.has_width || job.has_height);
  fine(&job);
  Job given = fresh();
  given.has_steps = 1;
  given.steps = 7;
  given.has_guidance_scale = 1;
  given.guidance_scale = 0;
  job_defaults(&given);
  assert_int_equal(given.steps, 7);
  assert_true(given.guidance_scale == 0);
}

static void test_digest(void **state) {
  (void)state;
  uint8_t one[JOB_DIGEST_BYTES];
  uint8_t two[JOB_DIGEST_BYTES];
  Job a = fresh();
  Job b = fresh();
  a.id = (char *)"a";
  b.id = (char *)"b";
  b.tenant = (char *)"other";
  assert_int_equal(job_digest(&a, one), OK);
  assert_int_equal(job_digest(&b, two), OK);
  assert_memory_equal(one, two, sizeof one);
  b.has_seed = 1;
  assert_int_equal(job_digest(&b, two), OK);
  assert_memory_not_equal(one, two, sizeof one);
  b = a; /* another broker of the fleet may know what we do not */
  ProtobufCMessageUnknownField unknown = {1000, PROTOBUF_C_WIRE_TYPE_VARINT, 1, (uint8_t[]){7}};
  b.base.n_unknown_fields = 1;
  b.base.unknown_fields = &unknown;
  assert_int_equal(job_digest(&b, two), OK);
  assert_memory_equal(one, two, sizeof one);
  b = a;
  b.prompt = (char *)"a lake at sunrise";
  assert_int_equal(job_digest(&b, two), OK);
  assert_memory_not_equal(one, two, sizeof one);
}

static void test_sampler_names(void **state) {
  (void)state;
  Darkroom__V1__Sampler sampler;
  Darkroom__V1__NoiseSchedule schedule;
  size_t count = 0;
  for (; job_sampler_offered(count) != NULL; count++) {
    const char *name = job_sampler_offered(count);
    assert_int_equal(job_sampler_parse(name, &sampler, &schedule, NULL), OK);
    assert_string_equal(job_sampler_name(sampler, schedule), name);
  }
  assert_true(count >= 37); /* eight samplers with four schedules, five with the model's */
  struct refusal why = {0};
  assert_int_equal(job_sampler_parse("euler_b", &sampler, &schedule, &why), BAD_INPUT);
  assert_int_equal(why.code, DARKROOM__V1__ERROR_CODE__ERROR_UNKNOWN_SAMPLER);
  assert_non_null(strstr(why.message, "did you mean euler_a?"));
  assert_non_null(strstr(why.limit, "euler, euler_a, ddim, dpmpp_2m, "));
  assert_non_null(strstr(why.limit, "tcd"));
  assert_int_equal(job_sampler_parse("", &sampler, &schedule, &why), BAD_INPUT);
}

static void test_other_names(void **state) {
  (void)state;
  Darkroom__V1__Priority priority;
  Darkroom__V1__JobState job_state;
  assert_int_equal(job_priority_parse("bulk", &priority, NULL), OK);
  assert_int_equal(priority, DARKROOM__V1__PRIORITY__PRIORITY_BULK);
  assert_int_equal(job_priority_parse("urgent", &priority, NULL), BAD_INPUT);
  assert_int_equal(job_state_parse("running", &job_state, NULL), OK);
  assert_false(job_state_terminal(job_state));
  assert_int_equal(job_state_parse("expired", &job_state, NULL), OK);
  assert_true(job_state_terminal(job_state));
  assert_string_equal(job_state_name(0), "unknown");
  assert_string_equal(job_state_name(99), "unknown");
  assert_string_equal(refusal_code_name(DARKROOM__V1__ERROR_CODE__ERROR_WORKER_LOST),
                      "worker_lost");
  assert_string_equal(refusal_code_name(0), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_smallest_job),
      cmocka_unit_test(test_texts),
      cmocka_unit_test(test_ids),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_last_seed_counts),
      cmocka_unit_test(test_words),
      cmocka_unit_test(test_metadata),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_digest),
      cmocka_unit_test(test_sampler_names),
      cmocka_unit_test(test_what_goes_with_a_sampler),
      cmocka_unit_test(test_names_that_are_shown),
      cmocka_unit_test(test_other_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
