/* test_fetch_inputs.c - a job's files together: what it does not say of their sizes is counted as
 * they come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "proto/darkroom.pb-c.h"
#include "worker/media/fetch.h"

enum { FILES = 3, FILE_BYTES = 100 };

/* A FETCH for a job with three embeddings inside. */
static struct media_task *fetch_task(void) {
  static uint8_t file[FILE_BYTES] = {[8] = '{'};
  static char token[] = "t", id[] = "job-1", model[] = "m";
  Darkroom__V1__Blob blob[FILES];
  Darkroom__V1__Embedding embedding[FILES], *rows[FILES];
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  for (int i = 0; i < FILES; i++) {
    darkroom__v1__blob__init(&blob[i]);
    darkroom__v1__embedding__init(&embedding[i]);
    blob[i].has_inline_ = 1;
    blob[i].inline_ = (ProtobufCBinaryData){sizeof file, file};
    embedding[i].token = token;
    embedding[i].blob = &blob[i];
    rows[i] = &embedding[i];
  }
  job.id = id;
  job.model = model;
  job.n_embedding = FILES;
  job.embedding = rows;
  assign.job = &job;
  struct media_task *task = media_task(MEDIA_FETCH, "job-1", 1);
  assert_non_null(task);
  uint8_t *room = NULL;
  size_t bytes = darkroom__v1__assign__get_packed_size(&assign);
  assert_int_equal(bytes_reserve(&task->assign, bytes, &room), OK);
  task->assign.length = darkroom__v1__assign__pack(&assign, room);
  return task;
}

static enum status fetched(uint64_t bytes_max) {
  struct reader reader;
  const struct s3_settings settings = {0};
  struct fetch fetch = {.reader = &reader, .bytes_max = bytes_max};
  struct media_task *task = fetch_task();
  reader_open(&settings, NULL, &reader);
  assert_int_equal(cache_open(0, &fetch.cache), OK);
  enum status status = fetch_inputs(&fetch, task);
  assert_int_equal(task->descriptor >= 0, status == OK);
  assert_string_equal(task->field, "embedding.blob");
  media_task_close(&task);
  cache_close(&fetch.cache);
  reader_close(&reader);
  return status;
}

static void all_files_of_a_job_have_one_limit(void **state) {
  (void)state;
  assert_int_equal(fetched(FILES * FILE_BYTES), OK);
  assert_int_equal(fetched(FILES * FILE_BYTES - 1), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "together"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_files_of_a_job_have_one_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
