/* test_json.c - messages as JSON: names, enums, what is left out, and what cannot be written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "proto/job.h"
#include "proto/json.h"

static struct bytes text;

static const char *json(const ProtobufCMessage *message) {
  bytes_clear(&text);
  assert_int_equal(message_to_json(message, &text), OK);
  return bytes_text(&text);
}

static void test_empty(void **state) {
  (void)state;
  Darkroom__V1__JobList list = DARKROOM__V1__JOB_LIST__INIT;
  assert_string_equal(json(&list.base), "{}");
}

static void test_status(void **state) {
  (void)state;
  Darkroom__V1__Artifact image = DARKROOM__V1__ARTIFACT__INIT;
  image.has_index = 1;
  image.url = (char *)"file:///x \"y\"";
  image.has_seed = 1;
  image.seed = JOB_SEED_MAX;
  Darkroom__V1__Artifact *images[] = {&image};
  Darkroom__V1__Error error = DARKROOM__V1__ERROR__INIT;
  error.has_code = 1;
  error.code = DARKROOM__V1__ERROR_CODE__ERROR_WORKER_LOST;
  Darkroom__V1__JobStatus status = DARKROOM__V1__JOB_STATUS__INIT;
  status.id = (char *)"j1";
  status.has_state = 1;
  status.state = DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED;
  status.n_images = 1;
  status.images = images;
  status.error = &error;
  assert_string_equal(json(&status.base),
                      "{\"id\":\"j1\",\"state\":\"succeeded\",\"error\":{\"code\":\"worker_lost\"},"
                      "\"images\":[{\"index\":0,\"url\":\"file:///x \\\"y\\\"\","
                      "\"seed\":9007199254740991}]}");
}

static void test_job_names_its_sampler(void **state) {
  (void)state;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.prompt = (char *)"a\nb";
  job_defaults(&job);
  job.noise_schedule = DARKROOM__V1__NOISE_SCHEDULE__NOISE_SCHEDULE_KARRAS;
  bytes_clear(&text);
  assert_int_equal(job_to_json(&job, &text), OK);
  assert_string_equal(bytes_text(&text),
                      "{\"prompt\":\"a\\nb\",\"steps\":20,"
                      "\"guidance_scale\":7.5,\"images\":1,\"sampler\":\"dpmpp_2m_karras\","
                      "\"priority\":\"standard\",\"format\":\"png\"}");
}

static void test_oddities(void **state) {
  (void)state;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.has_guidance_scale = 1;
  job.guidance_scale = NAN;
  job.has_priority = 1;
  job.priority = 77;
  assert_string_equal(json(&job.base), "{\"guidance_scale\":null,\"priority\":77}");
  job.prompt = (char *)"\xff";
  bytes_clear(&text);
  assert_int_equal(message_to_json(&job.base, &text), BAD_INPUT);
  struct bytes tiny;
  bytes_open(&tiny, 4);
  job.prompt = (char *)"fine";
  assert_int_equal(message_to_json(&job.base, &tiny), EXHAUSTED);
  bytes_close(&tiny);
}

static void test_repeated_values(void **state) {
  (void)state;
  Darkroom__V1__JobState states[] = {DARKROOM__V1__JOB_STATE__JOB_STATE_QUEUED,
                                     DARKROOM__V1__JOB_STATE__JOB_STATE_RUNNING};
  Darkroom__V1__List list = DARKROOM__V1__LIST__INIT;
  list.n_state = 2;
  list.state = states;
  assert_string_equal(json(&list.base), "{\"state\":[\"queued\",\"running\"]}");
  char *devices[] = {(char *)"cpu", (char *)"cuda:0"};
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  orders.n_cancel = 2;
  orders.cancel = devices;
  orders.has_hello_again = 1;
  orders.hello_again = 1;
  assert_string_equal(json(&orders.base), "{\"cancel\":[\"cpu\",\"cuda:0\"],\"hello_again\":true}");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_status),
      cmocka_unit_test(test_job_names_its_sampler),
      cmocka_unit_test(test_oddities),
      cmocka_unit_test(test_repeated_values),
  };
  bytes_open(&text, 1 << 20);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bytes_close(&text);
  return failed;
}
