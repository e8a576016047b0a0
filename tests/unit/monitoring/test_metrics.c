/* test_metrics.c - the text form, and the shape of every row. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "monitoring/metrics.h"

static struct bytes text;

static const char *render(unsigned program) {
  metrics_open(program, "0.0.0-test");
  bytes_clear(&text);
  assert_int_equal(metrics_text(&text), OK);
  return bytes_text(&text);
}

static void has(const char *whole, const char *line) {
  if (strstr(whole, line) == NULL) {
    print_error("missing: %s\n%s\n", line, whole);
    assert_true(false);
  }
}

static void test_zeroes_from_the_start(void **state) {
  (void)state;
  const char *broker = render(METRICS_OF_BROKER);
  has(broker, "# TYPE darkroom_jobs_submitted_total counter\ndarkroom_jobs_submitted_total 0\n");
  has(broker, "darkroom_queue_depth{class=\"interactive\"} 0\n");
  has(broker, "darkroom_queue_depth{class=\"bulk\"} 0\n");
  has(broker, "darkroom_workers{state=\"gone\"} 0\n");
  has(broker, "darkroom_job_duration_seconds_bucket{le=\"0.3\"} 0\n");
  has(broker, "darkroom_job_duration_seconds_bucket{le=\"7680\"} 0\n");
  has(broker, "darkroom_job_duration_seconds_bucket{le=\"+Inf\"} 0\n");
  has(broker, "darkroom_job_duration_seconds_count 0\n");
  has(broker, "darkroom_build_info{version=\"0.0.0-test\"} 1\n");
  assert_null(strstr(broker, "step_duration"));
  const char *worker = render(METRICS_OF_WORKER);
  has(worker, "darkroom_stage_duration_seconds_bucket{stage=\"vae\",le=\"0.001\"} 0\n");
  assert_null(strstr(worker, "queue_depth"));
}

static void test_counting(void **state) {
  (void)state;
  metric_add(M_JOBS_SUBMITTED, 1);
  metric_add(M_JOBS_SUBMITTED, 2);
  metric_set_labelled(M_QUEUE_DEPTH, "standard", 17);
  metric_add(M_JOBS_RUNNING, 3);
  metric_add(M_JOBS_RUNNING, -1);
  assert_true(metric_value(M_JOBS_SUBMITTED, NULL) == 3);
  assert_true(metric_value(M_QUEUE_DEPTH, "standard") == 17);
  const char *broker = render(METRICS_OF_BROKER);
  has(broker, "darkroom_jobs_submitted_total 3\n");
  has(broker, "darkroom_queue_depth{class=\"standard\"} 17\n");
  has(broker, "darkroom_jobs_running 2\n");
}

static void test_histogram_is_cumulative(void **state) {
  (void)state;
  metric_observe(M_BATCH_SIZE, 1);
  metric_observe(M_BATCH_SIZE, 2);
  metric_observe(M_BATCH_SIZE, 3);
  metric_observe(M_BATCH_SIZE, 1000);
  const char *worker = render(METRICS_OF_WORKER);
  has(worker,
      "darkroom_batch_size_bucket{le=\"1\"} 1\n"
      "darkroom_batch_size_bucket{le=\"2\"} 2\n"
      "darkroom_batch_size_bucket{le=\"4\"} 3\n");
  has(worker,
      "darkroom_batch_size_bucket{le=\"64\"} 3\n"
      "darkroom_batch_size_bucket{le=\"+Inf\"} 4\n"
      "darkroom_batch_size_sum 1006\n"
      "darkroom_batch_size_count 4\n");
  metric_observe_labelled(M_STAGE_DURATION, "denoise", 0.02);
  has(render(METRICS_OF_WORKER), "darkroom_stage_duration_seconds_sum{stage=\"denoise\"} 0.02\n");
}

static void test_labels_are_bounded_and_escaped(void **state) {
  (void)state;
  metric_add_labelled(M_S3_REQUESTS, "put,200", 1);
  metric_add_labelled(M_S3_REQUESTS, "pu\"t\\\n,500", 1);
  for (int i = 0; i < 1000; i++) {
    char values[32];
    snprintf(values, sizeof values, "get,%d", i);
    metric_add_labelled(M_S3_REQUESTS, values, 1);
  }
  const char *worker = render(METRICS_OF_WORKER);
  has(worker, "darkroom_s3_requests_total{op=\"put\",code=\"200\"} 1\n");
  has(worker, "darkroom_s3_requests_total{op=\"pu\\\"t\\\\\\n\",code=\"500\"} 1\n");
  has(worker, "darkroom_s3_requests_total{op=\"other\",code=\"other\"}");
  double sum = metric_value(M_S3_REQUESTS, "other,other");
  assert_true(sum == 1000 - (METRIC_SERIES_MAX - 1 - 2));
}

/* Every line is a comment or "name{labels} value"; names carry the prefix, counters end in _total.
 */
static void test_every_line_is_well_formed(void **state) {
  (void)state;
  char *rest = (char *)render(METRICS_OF_BROKER | METRICS_OF_WORKER);
  bool counter = false;
  for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
    if (line[0] == '#') {
      counter = strstr(line, " counter") != NULL;
      continue;
    }
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_");
    assert_int_equal(strncmp(line, "darkroom_", 9), 0);
    assert_true(line[name] == ' ' || line[name] == '{');
    assert_true(!counter || strncmp(line + name - 6, "_total", 6) == 0);
    const char *value = strrchr(line, ' ') + 1;
    assert_int_equal(strspn(value, "0123456789.e+-"), strlen(value));
  }
}

static void *count(void *nothing) {
  (void)nothing;
  for (int i = 0; i < 10000; i++) {
    metric_add(M_IMAGES_GENERATED, 1);
    metric_observe(M_STEP_DURATION, 0.1);
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) {
    pthread_create(&thread[i], NULL, count, NULL);
  }
  render(METRICS_OF_WORKER);
  for (int i = 0; i < 4; i++) {
    pthread_join(thread[i], NULL);
  }
  assert_true(metric_value(M_IMAGES_GENERATED, NULL) == 40000);
  assert_true(metric_value(M_STEP_DURATION, NULL) == 40000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_zeroes_from_the_start),
      cmocka_unit_test(test_counting),
      cmocka_unit_test(test_histogram_is_cumulative),
      cmocka_unit_test(test_labels_are_bounded_and_escaped),
      cmocka_unit_test(test_every_line_is_well_formed),
      cmocka_unit_test(test_threads),
  };
  bytes_open(&text, METRICS_TEXT_BYTES_MAX);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  bytes_close(&text);
  return failed;
}
